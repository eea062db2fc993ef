CREATE OR REPLACE FUNCTION agi_router.end_withdrawn(_block bigint[], _binding_id bigint[], _scope integer)
RETURNS TABLE (
    block bigint, id bigint, ended_at timestamptz, calls_used integer, messages_used integer, version integer)
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz;
BEGIN
    -- They may expire while whoever holds one is waited for: the clock is read after that.
    PERFORM b.id
       FROM unnest(_block, _binding_id) n (block, id)
       JOIN agi_router.binding b ON b.block = n.block AND b.id = n.id
      WHERE agi_router.in_scope(b.tenant_id, _scope)
      ORDER BY b.block, b.id
        FOR NO KEY UPDATE OF b;
    _now := clock_timestamp();
    RETURN QUERY
    UPDATE agi_router.binding b
       SET state = 'consent_withdrawn', ended_at = _now, version = b.version + 1
      FROM unnest(_block, _binding_id) n (block, id)
     WHERE b.block = n.block AND b.id = n.id AND agi_router.in_scope(b.tenant_id, _scope)
       AND b.ended_at IS NULL AND b.expires_at > _now
    RETURNING b.block, b.id, b.ended_at, b.calls_used, b.messages_used, b.version;
END
$$;
COMMENT ON FUNCTION agi_router.end_withdrawn IS 'Ends bindings that are alive, a party of which has withdrawn its consent, and tells what has become of them; those that are over or lie outside the scope are left out';
