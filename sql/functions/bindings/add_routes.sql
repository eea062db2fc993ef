CREATE OR REPLACE FUNCTION agi_router.add_routes(
    _block bigint, _tag_key integer, _seal_key integer, _binding_id bigint, _x_number bigint[],
    _caller_tag bigint[], _shown bigint[], _side text[], _callee bytea[], _callee_tags text[], _caller bytea[],
    _place_x bigint[], _place_tag bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    PERFORM agi_router.evict_ended_routes(_block, _place_x, _place_tag);
    PERFORM agi_router.refuse_locked(_block, _binding_id, _x_number, _caller_tag, _shown, _callee_tags);
    PERFORM agi_router.insert_routes(
        _block, _binding_id, _x_number, _caller_tag, _shown, _side, _callee, _callee_tags, _caller);
END
$$;
COMMENT ON FUNCTION agi_router.add_routes IS 'Adds routes to a binding, under these keys; _place_x and _place_tag say where their callers may be found under every key, if there are several. route_pkey is violated where a live binding is in the way';
