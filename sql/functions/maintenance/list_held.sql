CREATE OR REPLACE FUNCTION agi_router.list_held() RETURNS TABLE (block bigint, binding_id bigint)
LANGUAGE sql STABLE AS $$
    -- As a trace finds them. A tag may be that of somebody else: then too much is kept, and nothing is shown.
    WITH live AS MATERIALIZED (
        SELECT h.x_number, h.person_id, h.order_id, h.tenant_id FROM agi_router.hold h WHERE h.released_at IS NULL
    ), people AS MATERIALIZED (
        SELECT m.tag FROM live l JOIN agi_router.person_mark m ON m.person_id = l.person_id
    )
    SELECT r.block, r.binding_id
      FROM live l
      JOIN agi_router.route r ON r.block = l.x_number / 10000 AND r.x_number = l.x_number
     UNION
    SELECT r.block, r.binding_id
      FROM live l
      JOIN agi_router.past_route r ON r.block = l.x_number / 10000 AND r.x_number = l.x_number
     UNION
    SELECT r.block, r.binding_id FROM people p JOIN agi_router.route r ON r.caller_tag = p.tag
     UNION
    SELECT r.block, r.binding_id
      FROM people p
      JOIN agi_router.route r ON r.callee_tags[1] = p.tag AND r.caller IS NOT NULL
     UNION
    SELECT r.block, r.binding_id FROM people p JOIN agi_router.past_route r ON r.caller_tag = p.tag
     UNION
    SELECT r.block, r.binding_id
      FROM people p
      JOIN agi_router.past_route r ON r.callee_tags[1] = p.tag AND r.caller IS NOT NULL
     UNION
    SELECT b.block, b.id
      FROM live l
      JOIN agi_router.binding b ON b.order_id = l.order_id AND (l.tenant_id IS NULL OR b.tenant_id = l.tenant_id)
$$;
COMMENT ON FUNCTION agi_router.list_held IS 'The bindings that legal holds keep from being deleted';
