CREATE OR REPLACE FUNCTION agi_router.insert_routes(
    _block bigint, _binding_id bigint, _x_number bigint[], _caller_tag bigint[], _shown bigint[],
    _side text[], _callee bytea[], _callee_tags text[], _caller bytea[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz; -- of all alike: they are read with each other
BEGIN
    PERFORM agi_router.make_room(_block, _x_number, _caller_tag);
    _now := clock_timestamp();
    INSERT INTO agi_router.route (block, binding_id, x_number, caller_tag, shown, side, callee, callee_tags,
                                  caller, begins_at, ends_at)
    SELECT _block, _binding_id, n.x_number, n.caller_tag, n.shown, n.side, n.callee, n.callee_tags::bigint[],
           n.caller, _now, b.expires_at
      FROM unnest(_x_number, _caller_tag, _shown, _side, _callee, _callee_tags, _caller)
           n (x_number, caller_tag, shown, side, callee, callee_tags, caller)
      JOIN agi_router.binding b ON b.block = _block AND b.id = _binding_id
     ORDER BY n.x_number, n.caller_tag; -- one order for all, or two binds of the same parties could deadlock
END
$$;
COMMENT ON FUNCTION agi_router.insert_routes IS 'Writes routes of a binding (_callee_tags: an array for each, as text), once the keys are known to be the current ones; route_pkey is violated where a live binding holds one of them';
