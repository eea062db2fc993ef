CREATE OR REPLACE FUNCTION agi_router.list_held_keys() RETURNS TABLE (key bigint)
LANGUAGE sql STABLE AS $$
    WITH held AS MATERIALIZED (
        SELECT l.block, l.binding_id FROM agi_router.list_held() l
    ), parts AS (
        SELECT r.block, r.x_number, r.caller_tag, r.callee_tags
          FROM held h JOIN agi_router.route r ON r.block = h.block AND r.binding_id = h.binding_id
         UNION ALL
        SELECT r.block, r.x_number, r.caller_tag, r.callee_tags
          FROM held h JOIN agi_router.past_route r ON r.block = h.block AND r.binding_id = h.binding_id
    )
    SELECT unnest(ARRAY[p.block, p.x_number, p.caller_tag] || p.callee_tags) FROM parts p
     UNION
    SELECT b.tenant_id FROM held h JOIN agi_router.binding b ON b.block = h.block AND b.id = h.binding_id
     UNION
    SELECT unnest(ARRAY[n.x_number, n.x_number / 10000])
      FROM agi_router.hold n
     WHERE n.released_at IS NULL AND n.x_number IS NOT NULL
     UNION
    SELECT m.tag
      FROM agi_router.hold n
      JOIN agi_router.person_mark m ON m.person_id = n.person_id
     WHERE n.released_at IS NULL
$$;
COMMENT ON FUNCTION agi_router.list_held_keys IS 'The persons (tags), 700 numbers, blocks and tenants whose locks a trace of what is held tells of';
