CREATE OR REPLACE FUNCTION agi_router.list_parties_then(_block bigint[], _id bigint[], _at timestamptz[])
RETURNS TABLE (
    place bigint, block bigint, binding_id bigint, x_number bigint, caller_tag bigint, shown bigint, side text,
    callee bytea, caller bytea, mode text, y_ttl integer, parent_id bigint)
LANGUAGE sql STABLE AS $$
    SELECT n.place, r.block, r.binding_id, r.x_number, r.caller_tag, r.shown, r.side, r.callee, r.caller,
           b.mode, b.y_ttl, b.parent_id
      FROM unnest(_block, _id, _at) WITH ORDINALITY n (block, id, at, place)
      JOIN agi_router.binding b ON b.block = n.block AND b.id = n.id
     CROSS JOIN LATERAL (
           SELECT o.block, o.binding_id, o.x_number, o.caller_tag, o.shown, o.side, o.callee, o.caller
             FROM agi_router.route o
            WHERE o.block = n.block AND o.binding_id = n.id AND o.begins_at <= n.at
            UNION ALL
           SELECT p.block, p.binding_id, p.x_number, p.caller_tag, p.shown, p.side, p.callee, p.caller
             FROM agi_router.past_route p
            WHERE p.block = n.block AND p.binding_id = n.id AND p.begins_at <= n.at
              AND (NOT p.left_group OR p.ends_at > n.at)) r
$$;
COMMENT ON FUNCTION agi_router.list_parties_then IS 'The routes of bindings as they were at some time, also those that were taken out of use since; place: of the binding among those asked for, from 1';
