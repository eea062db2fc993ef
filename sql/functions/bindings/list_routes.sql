CREATE OR REPLACE FUNCTION agi_router.list_routes(_block bigint[], _binding_id bigint[])
RETURNS TABLE (block bigint, id bigint, binding_id bigint, x_number bigint, caller_tag bigint, shown bigint,
               side text, callee bytea, caller bytea, last_callee bytea, last_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT b.block, b.id, r.binding_id, r.x_number, r.caller_tag, r.shown, r.side, r.callee, r.caller,
           r.last_callee, r.last_at
      FROM unnest(_block, _binding_id) n (block, id)
      JOIN agi_router.binding b ON b.block = n.block AND b.id = n.id
      JOIN agi_router.route r ON r.block = b.block AND r.binding_id = coalesce(b.parent_id, b.id)
     WHERE b.parent_id IS NULL OR r.side = 'a' OR r.child_id = b.id
    UNION ALL
    SELECT p.block, p.binding_id, p.binding_id, p.x_number, p.caller_tag, p.shown, p.side, p.callee, p.caller,
           NULL, NULL
      FROM unnest(_block, _binding_id) n (block, id)
      JOIN agi_router.past_route p ON p.block = n.block AND p.binding_id = n.id
     WHERE NOT p.left_group
$$;
COMMENT ON FUNCTION agi_router.list_routes IS 'The routes of some bindings, those included whose place was taken since; not of those who left. Of a child the row of B, and that of A, which its parent holds. binding_id: what they are sealed for';
