CREATE OR REPLACE FUNCTION agi_router.hold_group_bindings(
    _block bigint, _binding_id bigint[], _place_x bigint[], _place_tag bigint[], _place_id bigint[],
    _party_quarantine interval)
RETURNS TABLE (id bigint, version integer, alive boolean, rests boolean)
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz;
BEGIN
    -- All at once and in the order of all who do: those in the way, too, which make room if they are over.
    PERFORM b.id
       FROM agi_router.binding b
      WHERE b.block = _block
        AND b.id = ANY (ARRAY(
            SELECT n.id FROM unnest(_binding_id) n (id)
             UNION
            SELECT r.binding_id
              FROM unnest(_place_x, _place_tag) p (x_number, caller_tag)
              JOIN agi_router.route r
                ON r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag))
      ORDER BY b.id
        FOR NO KEY UPDATE;
    -- One may end while whoever holds it is waited for: the clock is read after that.
    _now := clock_timestamp();
    RETURN QUERY
    WITH resting AS MATERIALIZED (
        SELECT DISTINCT p.binding_id
          FROM unnest(_place_x, _place_tag, _place_id) p (x_number, caller_tag, binding_id)
         CROSS JOIN LATERAL (
               SELECT r.binding_id
                 FROM agi_router.route r
                WHERE r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                  AND r.ends_at > _now - _party_quarantine AND r.ends_at <= _now
               UNION ALL
               SELECT r.binding_id
                 FROM agi_router.past_route r
                WHERE r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                  AND r.ends_at > _now - _party_quarantine AND r.ends_at <= _now) e
         WHERE e.binding_id <> p.binding_id
    )
    SELECT b.id, b.version, b.ended_at IS NULL AND b.expires_at > _now,
           b.id IN (SELECT r.binding_id FROM resting r)
      FROM agi_router.binding b
     WHERE b.block = _block AND b.id = ANY (_binding_id);
END
$$;
COMMENT ON FUNCTION agi_router.hold_group_bindings IS 'Locks bindings, and those in the way of the places of new members, until the transaction ends. Of each: its version, whether it is alive, and whether one of its places may rest, for agi_router.find_rests to say. _place_id: whose binding''s place it is';
