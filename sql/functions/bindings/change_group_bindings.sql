CREATE OR REPLACE FUNCTION agi_router.change_group_bindings(
    _block bigint, _tag_key integer, _seal_key integer, _id bigint[], _leaving bigint[], _left bigint[],
    _binding_id bigint[], _x_number bigint[], _caller_tag bigint[], _shown bigint[], _callee bytea[],
    _callee_tags text[], _caller bytea[], _place_x bigint[], _place_tag bigint[], _back_id bigint[],
    _back_callee bytea[], _back_tags text[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    IF cardinality(_binding_id) > 0 THEN
        -- All are of one tenant. A number that is locked keeps nobody out of the group.
        PERFORM agi_router.refuse_locked(_block, _binding_id[1], '{}', _caller_tag, '{}', '{}');
    END IF;
    PERFORM agi_router.retire_routes(o.block, o.x_number, o.caller_tag, o.binding_id, _now)
       FROM (SELECT array_agg(r.block) AS block, array_agg(r.x_number) AS x_number,
                    array_agg(r.caller_tag) AS caller_tag, array_agg(r.binding_id) AS binding_id
               FROM agi_router.route r
              WHERE r.block = _block AND r.binding_id = ANY (_id) AND r.side = 'a'
                AND r.caller_tag = ANY (_leaving)) o
      WHERE o.block IS NOT NULL;
    PERFORM agi_router.evict_ended_routes(_block, _place_x, _place_tag);
    PERFORM agi_router.make_room(_block, _x_number, _caller_tag);
    INSERT INTO agi_router.route (block, binding_id, x_number, caller_tag, shown, side, callee, callee_tags,
                                  caller, begins_at, ends_at)
    SELECT _block, n.binding_id, n.x_number, n.caller_tag, n.shown, 'a', n.callee, n.callee_tags::bigint[],
           n.caller, _now, b.expires_at
      FROM unnest(_binding_id, _x_number, _caller_tag, _shown, _callee, _callee_tags, _caller)
           n (binding_id, x_number, caller_tag, shown, callee, callee_tags, caller)
      JOIN agi_router.binding b ON b.block = _block AND b.id = n.binding_id
     ORDER BY n.x_number, n.caller_tag; -- one order for all, or two who want the same places could deadlock
    UPDATE agi_router.route r
       SET callee = n.callee, callee_tags = n.callee_tags::bigint[]
      FROM unnest(_back_id, _back_callee, _back_tags) n (binding_id, callee, callee_tags)
     WHERE r.block = _block AND r.binding_id = n.binding_id AND r.side = 'b';
    PERFORM agi_router.count_seals(cardinality(array_remove(_back_callee, NULL)));
    UPDATE agi_router.route r
       SET last_callee = NULL, last_tag = NULL, last_at = NULL
     WHERE r.block = _block AND r.binding_id = ANY (_id) AND r.side = 'b' AND r.last_tag = ANY (_left);
    -- Last: with the version a trigger tells of the change, and of the parties as they are then.
    UPDATE agi_router.binding b SET version = b.version + 1 WHERE b.block = _block AND b.id = ANY (_id);
    -- None waits to learn whose number somebody has who left it.
    PERFORM agi_router.release_held(_block, h.binding_id, NULL, _left)
       FROM (SELECT DISTINCT w.binding_id
               FROM agi_router.binding_hold w
              WHERE w.block = _block AND w.binding_id = ANY (_id) AND w.tag = ANY (_left)) h;
END
$$;
COMMENT ON FUNCTION agi_router.change_group_bindings IS 'Changes the members of locked bindings in one block, under these keys: routes of those with the tags _leaving go, of whom nobody is called back, or waited for, by a tag of _left; new ones come (_binding_id and the arrays behind it; _place_x and _place_tag say where their callers may be found under every key, if there are several), and rows of B ring others (_back_id). route_pkey is violated where a live binding is in the way';
