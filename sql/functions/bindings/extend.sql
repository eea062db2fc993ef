CREATE OR REPLACE FUNCTION agi_router.extend(_block bigint, _binding_id bigint, _expires_at timestamptz, _scope integer)
RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz;
BEGIN
    -- It may expire, and its place be taken, while whoever holds it is waited for: the clock is read
    -- after that.
    PERFORM 1
       FROM agi_router.binding b
      WHERE b.block = _block AND b.id = _binding_id AND agi_router.in_scope(b.tenant_id, _scope)
        FOR NO KEY UPDATE;
    _now := clock_timestamp();
    RETURN QUERY
    UPDATE agi_router.binding b
       SET expires_at = _expires_at, version = b.version + 1
     WHERE b.block = _block AND b.id = _binding_id AND agi_router.in_scope(b.tenant_id, _scope)
       AND b.ended_at IS NULL AND b.expires_at > _now
       AND b.expires_at <= _expires_at
    RETURNING b.id;
END
$$;
COMMENT ON FUNCTION agi_router.extend IS 'Moves the end of a binding that is alive to a later time and returns its id; no row if it is over, lies outside the scope, or would end earlier';
