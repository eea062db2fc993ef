CREATE OR REPLACE FUNCTION agi_router.bind(
    _block bigint, _tag_key integer, _seal_key integer, _terms jsonb, _number_quarantine interval,
    _party_quarantine interval, _x_number bigint[], _caller_tag bigint[], _shown bigint[], _side text[],
    _callee bytea[], _callee_tags text[], _caller bytea[], _place_x bigint[], _place_tag bigint[],
    _place integer[])
RETURNS SETOF timestamptz
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- The planner would plan these look-ups anew for each bind, for twice what it takes to run them: arrays
-- of a few values look cheaper than arrays of any length. All go by an index, whatever is in the tables.
DECLARE
    made agi_router.binding;
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    -- What every new binding has; the terms say the rest, and its number, for which it was sealed.
    made := jsonb_populate_record(NULL::agi_router.binding, _terms);
    made.block := _block;
    made.calls_used := 0;
    made.messages_used := 0;
    made.calls_settled := 0;
    made.sequence := 0;
    made.begins_at := now();
    made.state := 'active';
    made.version := 1;
    IF made.open_number IS NOT NULL THEN
        -- Nobody may come to the number meanwhile; see agi_router.check_new_routes. Locks are waited for first, as whoever
        -- binds on a number drawn does: else each could wait for the other.
        PERFORM agi_router.await_locks(
            _x_number || _caller_tag || _shown || ARRAY[_block, made.tenant_id]
            || ARRAY(SELECT unnest(c::bigint[]) FROM unnest(_callee_tags) c));
        PERFORM 1 FROM agi_router.block k WHERE k.block = _block FOR UPDATE;
    END IF;
    PERFORM 1
       FROM agi_router.block k, agi_router.tenant t
      WHERE k.block = _block AND t.id = made.tenant_id AND t.active
        AND t.qualified_from <= made.begins_at AND t.qualified_until > made.begins_at
        AND agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                                  made.tenant_id, NULL, made.begins_at) IS NULL
        FOR KEY SHARE OF k; -- waits where the block is just being returned, and looks again
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM 1
       FROM agi_router.find_rests(
            _block, NULL, _place_x, _place_tag, _place, _number_quarantine, _party_quarantine,
            clock_timestamp());
    IF FOUND THEN
        RETURN;
    END IF;
    IF cardinality(_place_tag) > cardinality(_caller_tag) THEN
        PERFORM agi_router.evict_ended_routes(_block, _place_x, _place_tag);
    END IF;
    INSERT INTO agi_router.binding VALUES (made.*);
    PERFORM agi_router.refuse_locked(_block, made.id, _x_number, _caller_tag, _shown, _callee_tags);
    PERFORM agi_router.insert_routes(
        _block, made.id, _x_number, _caller_tag, _shown, _side, _callee, _callee_tags, _caller);
    PERFORM agi_router.tell_binding(_block, made.id, 'binding.created');
    RETURN NEXT made.begins_at;
END
$$;
COMMENT ON FUNCTION agi_router.bind IS 'Makes a binding with its routes, under these keys, and returns when it begins; _terms holds columns of binding by name, the id it was sealed for among them, _place_x, _place_tag and _place where each of its callers may be found, under every key. Fails with route_pkey where a live binding holds one of the routes; no row where the block is not open to the tenant or a number rests';
