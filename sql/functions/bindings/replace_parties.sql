CREATE OR REPLACE FUNCTION agi_router.replace_parties(
    _block bigint, _tag_key integer, _seal_key integer, _binding_id bigint, _order_tag bigint, _pair_tag bigint,
    _x_number bigint[], _caller_tag bigint[], _shown bigint[], _side text[], _callee bytea[], _callee_tags text[],
    _caller bytea[], _place_x bigint[], _place_tag bigint[],
    _counted boolean)
RETURNS void
LANGUAGE plpgsql AS $$
-- All routes end together and begin together: so those of one time are read with each other, and none is
-- sealed for a row of another time. A call that waits for the binding has been placed before, and is let
-- through by what it found then.
DECLARE
    _now timestamptz := clock_timestamp();
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    PERFORM agi_router.retire_routes(
                array_agg(r.block), array_agg(r.x_number), array_agg(r.caller_tag), array_agg(r.binding_id), _now)
       FROM agi_router.route r
      WHERE r.block = _block AND r.binding_id = _binding_id;
    -- A Y that a call has made was for those who are not together any more.
    UPDATE agi_router.binding c
       SET state = 'unbound', ended_at = _now
     WHERE c.block = _block AND c.parent_id = _binding_id AND c.ended_at IS NULL AND c.expires_at > _now;
    PERFORM agi_router.evict_ended_routes(_block, _place_x, _place_tag);
    PERFORM agi_router.refuse_locked(_block, _binding_id, _x_number, _caller_tag, _shown, _callee_tags);
    PERFORM agi_router.insert_routes(
        _block, _binding_id, _x_number, _caller_tag, _shown, _side, _callee, _callee_tags, _caller);
    -- Last: with the version a trigger tells of the change, and of the parties as they are then.
    UPDATE agi_router.binding b
       SET order_tag = CASE WHEN b.order_tag IS NOT NULL THEN _order_tag END,
           pair_tag = CASE WHEN b.pair_tag IS NOT NULL THEN _pair_tag END,
           replaced = CASE WHEN _counted THEN coalesce(b.replaced, 0) + 1 ELSE b.replaced END,
           version = b.version + 1
     WHERE b.block = _block AND b.id = _binding_id;
END
$$;
COMMENT ON FUNCTION agi_router.replace_parties IS 'Gives a locked binding other parties, under these keys: its routes are taken out of use, and these take their place; _place_x and _place_tag say where their callers may be found under every key, if there are several; _counted: one is replaced by another, which counts by the order. route_pkey or route_alone is violated where a live binding is in the way';
