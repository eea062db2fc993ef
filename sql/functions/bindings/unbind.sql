CREATE OR REPLACE FUNCTION agi_router.unbind(_block bigint, _binding_id bigint, _version integer, _scope integer)
RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz;
BEGIN
    -- It may expire while whoever holds it is waited for: the clock is read after that.
    PERFORM 1
       FROM agi_router.binding b
      WHERE b.block = _block AND b.id = _binding_id AND agi_router.in_scope(b.tenant_id, _scope)
        FOR NO KEY UPDATE;
    _now := clock_timestamp();
    RETURN QUERY
    UPDATE agi_router.binding b
       SET state = 'unbound', ended_at = _now, version = b.version + 1
     WHERE b.block = _block AND b.id = _binding_id AND agi_router.in_scope(b.tenant_id, _scope)
       AND b.ended_at IS NULL AND b.expires_at > _now AND (_version IS NULL OR b.version = _version)
    RETURNING b.id;
END
$$;
COMMENT ON FUNCTION agi_router.unbind IS 'Ends a binding that is alive and returns its id; no row if it is over, lies outside the scope, has another version than the one given or was never made';
