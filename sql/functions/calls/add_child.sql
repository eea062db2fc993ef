CREATE OR REPLACE FUNCTION agi_router.add_child(
    _block bigint, _tag_key integer, _seal_key integer, _parent_id bigint, _x_number bigint, _x_tag bigint,
    _x_callee bytea, _x_caller bytea, _y_number bigint, _y_tags bigint[], _y_callee bytea)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    parent agi_router.binding;
    made   agi_router.binding;
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    -- The parent, and what is in the way of the new route, in the order of all who lock bindings.
    PERFORM 1
       FROM agi_router.binding b
      WHERE b.block = _block
        AND b.id = ANY (ARRAY(
            SELECT _parent_id
            UNION
            SELECT r.binding_id
              FROM agi_router.route r
             WHERE r.block = _block AND r.x_number = _y_number AND r.caller_tag = ANY (_y_tags)))
      ORDER BY b.id
        FOR NO KEY UPDATE;
    SELECT * INTO parent FROM agi_router.binding b WHERE b.block = _block AND b.id = _parent_id;
    IF NOT FOUND OR parent.ended_at IS NOT NULL OR parent.expires_at <= clock_timestamp()
       OR EXISTS (SELECT 1
                    FROM agi_router.route r
                    JOIN agi_router.binding c ON c.block = r.block AND c.id = r.child_id
                   WHERE r.block = _block AND r.binding_id = _parent_id AND r.side = 'a'
                     AND c.ended_at IS NULL AND c.expires_at > clock_timestamp()) THEN
        RETURN false;
    END IF;
    made := parent;
    made.id := nextval('agi_router.binding_id');
    made.parent_id := _parent_id;
    made.calls_used := 0;
    made.messages_used := 0;
    made.calls_settled := 0;
    made.sequence := 0;
    made.pair_tag := NULL;
    made.version := 1;
    made.max_calls := NULL;
    made.begins_at := clock_timestamp();
    made.expires_at := least(parent.expires_at, made.begins_at + make_interval(secs => parent.y_ttl));
    made.y_ttl := NULL;
    IF cardinality(_y_tags) > 1 THEN
        PERFORM agi_router.evict_ended_routes(_block, array_fill(_y_number, ARRAY[cardinality(_y_tags)]), _y_tags);
    END IF;
    INSERT INTO agi_router.binding VALUES (made.*);
    PERFORM agi_router.insert_routes(
        _block, _parent_id, ARRAY[_y_number], ARRAY[_y_tags[1]], ARRAY[_x_number], ARRAY['b'],
        ARRAY[_y_callee], ARRAY[ARRAY[_x_tag]::text], ARRAY[NULL::bytea]);
    UPDATE agi_router.route
       SET child_id = made.id
     WHERE block = _block AND x_number = _y_number AND caller_tag = _y_tags[1];
    -- Its values are bound to what it shows: with the number they are others.
    UPDATE agi_router.route
       SET shown = _y_number, child_id = made.id, caller_tag = _x_tag, callee = _x_callee,
           callee_tags = _y_tags[:1], caller = _x_caller
     WHERE block = _block AND binding_id = _parent_id AND side = 'a' AND x_number = _x_number;
    PERFORM agi_router.count_seals(2);
    RETURN true;
END
$$;
COMMENT ON FUNCTION agi_router.add_child IS 'Makes the Y of a binding that has none: a child binding with its own life, under these keys. _x_…: the row of A as it is with the Y; _y_tags: the tags of B under every key, the current one first. False where another call has just made it, or the parent is over; route_pkey is violated where the Y is taken';
