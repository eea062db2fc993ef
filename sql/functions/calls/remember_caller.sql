CREATE OR REPLACE FUNCTION agi_router.remember_caller(
    _block bigint, _tag_key integer, _seal_key integer, _binding_id bigint, _caller bytea, _tag bigint,
    _at timestamptz)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    PERFORM agi_router.count_seals(1);
    UPDATE agi_router.route r
       SET last_callee = _caller, last_tag = _tag, last_at = _at
     WHERE r.block = _block AND r.binding_id = _binding_id AND r.side = 'a'
       -- Who is A by now may not have been A when the call came.
       AND r.begins_at <= _at
       AND (r.last_at IS NULL OR r.last_at < _at);
END
$$;
COMMENT ON FUNCTION agi_router.remember_caller IS 'Writes a stranger down as the one whom A calls back, under these keys, unless somebody has called since';
