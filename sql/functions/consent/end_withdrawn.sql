CREATE OR REPLACE FUNCTION agi_router.end_withdrawn(_block bigint, _binding_id bigint, _scope integer)
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
       SET state = 'consent_withdrawn', ended_at = _now, version = b.version + 1
     WHERE b.block = _block AND b.id = _binding_id AND agi_router.in_scope(b.tenant_id, _scope)
       AND b.ended_at IS NULL AND b.expires_at > _now
    RETURNING b.id;
END
$$;
COMMENT ON FUNCTION agi_router.end_withdrawn IS 'Ends a binding that is alive, a party of which has withdrawn its consent, and returns its id; no row if it is over or lies outside the scope';
