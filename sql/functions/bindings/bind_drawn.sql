CREATE OR REPLACE FUNCTION agi_router.bind_drawn(
    _block bigint, _tag_key integer, _seal_key integer, _tenant_id integer, _digit integer, _terms jsonb,
    _life interval, _longest interval, _number_quarantine interval, _party_quarantine interval, _scope integer,
    _rules jsonb, _stride integer, _id bigint[], _drawn bigint[], _tags text[], _place integer[], _x_number bigint[],
    _caller_tag bigint[], _shown bigint[], _side text[], _callee bytea[], _callee_tags text[], _caller bytea[])
RETURNS TABLE (id bigint, x_number bigint, begins_at timestamptz, expires_at timestamptz)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
-- For the settings see agi_router.bind; a bitmap for one row takes longer to begin than the row to find. Statements take
-- longer to begin than to run, too, so there are few, and what needs none is an assignment. Arrays are read in select
-- lists: as tables each would be kept by a store of its own, which takes more than all looks together; what is made of
-- their subscripts comes in their order. What cannot be bound so is left out, and nothing says why: the caller then asks
-- step by step.
DECLARE
    made    agi_router.binding;
    kept    record; -- the rules of the tenant, and whether the keys are outdated
    _pool   bigint[]; -- the blocks of their pool
    _fit    boolean[]; -- which of them are as the rules ask
    _made   boolean[];
    _refused bigint[] := '{}';
    _awaited text;
    _now    timestamptz;
    _looked timestamptz;
    _end    timestamptz[]; -- of each that can be made, where it stands in _id; null of the others
BEGIN
    -- As agi_router.assert_current_keys does; its look is part of the one below.
    LOCK TABLE agi_router.key IN ROW SHARE MODE;
    IF _rules IS NOT NULL THEN
        IF (_rules ->> 'consents')::boolean THEN
            -- Before all that others may wait for, as agi_router/consent/store.py says.
            _awaited := pg_advisory_xact_lock_shared(7002043, (_rules ->> 'tenant_id')::integer);
        END IF;
        IF _rules ->> 'pool' IS NOT NULL THEN
            SELECT p.blocks
              INTO _pool
              FROM agi_router.pool p
             WHERE p.id = (_rules ->> 'pool')::integer AND p.version = (_rules ->> 'pool_version')::integer
               AND p.tenant_id = (_rules ->> 'tenant_id')::integer;
            IF NOT FOUND THEN
                RETURN;
            END IF;
        END IF;
    END IF;
    _now := clock_timestamp();
    -- What every new binding has; the terms say the rest, and its number, for which it was sealed.
    made.block := _block;
    made.tenant_id := _tenant_id;
    made.calls_used := 0;
    made.messages_used := 0;
    made.calls_settled := 0;
    made.begins_at := now();
    made.expires_at := made.begins_at + _life;
    made.state := 'active';
    made.version := 1;
    -- A lock that is just being set is seen, and one that comes later waits: see agi_router.set_lock.
    _awaited := agi_router.await_locks(
        ('{' || translate(array_to_string(_tags, ','), '{}', '') || '}')::bigint[] || _drawn || ARRAY[_block, _tenant_id]);
    _looked := clock_timestamp();
    SELECT 'binding.created' = ANY (t.told) AS told, t.ruled, t.consent, t.needs_real_name, t.scenes, t.max_pair_binds,
           t.max_order_pairs, t.refuses_pairs, t.bind_limits,
           (SELECT true FROM agi_router.find_key_faults(_tag_key, _seal_key) f LIMIT 1) AS outdated,
           ARRAY(
                SELECT CASE WHEN n.expires_at > _now AND n.expires_at <= _now + _longest
                             AND (NOT t.needs_order OR _terms -> n.place - 1 ->> 'order_id' IS NOT NULL)
                             -- Nobody is in the way, nor has to be moved out of it.
                             AND (SELECT f.free
                                    FROM agi_router.find_free_x(
                                         _block, n.x_number, n.tags, _number_quarantine, _party_quarantine, _looked, true) f)
                             AND (SELECT true
                                    FROM agi_router.binding b
                                   WHERE b.block = _block AND b.open_number = n.x_number AND b.ended_at IS NULL
                                   LIMIT 1) IS NULL
                             -- The one look at persons. Who is locked may be a stranger: that is found out step by step.
                             AND (SELECT true
                                    FROM agi_router.find_locks(
                                         n.tags || ARRAY[_block, t.id], t.id, _looked, '{}') f
                                   LIMIT 1) IS NULL
                            THEN n.expires_at END
                  FROM (SELECT p.place, _drawn[p.place] AS x_number, _tags[p.place]::bigint[] AS tags,
                               coalesce((_terms -> p.place - 1 ->> 'expires_at')::timestamptz, made.expires_at) AS expires_at
                          FROM (SELECT generate_subscripts(_id, 1) AS place) p OFFSET 0) n) AS ends
      INTO kept
      FROM agi_router.block k, agi_router.tenant t
     WHERE k.block = _block AND t.id = _tenant_id AND t.active AND agi_router.in_scope(t.id, _scope)
       -- Whoever does not know of other rules of its own is to ask step by step.
       AND (NOT t.ruled OR _rules IS NOT NULL)
       AND t.qualified_from <= _now AND t.qualified_until > _now
       AND agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                                 t.id, _digit, _now, _pool) IS NULL
       -- Its own blocks come first, one that it has just been given too.
       AND (k.tenant_id IS NOT NULL
            OR NOT EXISTS (
                SELECT 1
                  FROM agi_router.block o
                 WHERE o.tenant_id = t.id
                   AND agi_router.why_closed(o.block, o.tenant_id, o.state, o.valid_from, o.valid_until,
                                             t.id, _digit, _now, _pool) IS NULL))
       FOR KEY SHARE OF k; -- waits where the block is just being returned, and looks again
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF kept.outdated THEN
        PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    END IF;
    _end := kept.ends;
    IF kept.ruled THEN
        IF made.tenant_id <> (_rules ->> 'tenant_id')::integer
           OR kept.consent <> 'off' AND NOT (_rules ->> 'consents')::boolean
           OR kept.needs_real_name AND NOT (_rules ->> 'real_names')::boolean
           OR kept.max_pair_binds IS NOT NULL AND NOT (_rules ->> 'pairs')::boolean
           -- They are counted one by one, by who binds step by step.
           OR kept.bind_limits IS NOT NULL THEN
            RETURN;
        END IF;
        _fit := agi_router.fit_rules(
            _block, made.tenant_id, kept.scenes, kept.consent, kept.needs_real_name, _terms, _rules);
        _end := ARRAY(SELECT CASE WHEN _fit[p.place] THEN _end[p.place] END
                        FROM (SELECT generate_subscripts(_id, 1) AS place) p);
        IF array_remove(_end, NULL) = '{}' THEN
            RETURN;
        END IF;
    END IF;
    IF array_remove(_end, NULL) = '{}' THEN
        IF _stride IS NOT NULL THEN
            -- Few are free, or few for this party: one is looked for, and is not bound before it is sealed for.
            RETURN QUERY
            SELECT _id[1], c.x_number, NULL::timestamptz, NULL::timestamptz
              FROM agi_router.choose_x(
                   _block,
                   ARRAY(SELECT _block * 10000 + (_drawn[1] + s * _stride) % 10000 FROM generate_series(1, 250) s),
                   _tags[1]::bigint[], _number_quarantine, _party_quarantine, 1) c;
        END IF;
        RETURN;
    END IF;
    made.sequence := kept.told::integer; -- of the event that tells of it
    IF cardinality(_id) = 1 THEN
        made := jsonb_populate_record(made, _terms -> 0);
        INSERT INTO agi_router.binding VALUES (made.*);
    ELSE
        -- A set is read by a table's store, which one row does not pay for, and taken apart once.
        INSERT INTO agi_router.binding
        SELECT r.*
          FROM jsonb_populate_recordset(made, _terms) r
         WHERE array_position(_end, NULL) IS NULL OR _end[array_position(_id, r.id)] IS NOT NULL;
    END IF;
    -- They come in one order for all, by number and caller, or two binds of the same parties could deadlock.
    INSERT INTO agi_router.route (block, binding_id, x_number, caller_tag, shown, side, callee, callee_tags,
                                  caller, begins_at, ends_at)
    SELECT _block, _id[n.place], n.x_number, n.caller_tag, n.shown, n.side, n.callee, n.callee_tags::bigint[],
           n.caller, _now, _end[n.place]
      FROM (SELECT unnest(_place) AS place, unnest(_x_number) AS x_number, unnest(_caller_tag) AS caller_tag,
                   unnest(_shown) AS shown, unnest(_side) AS side, unnest(_callee) AS callee,
                   unnest(_callee_tags) AS callee_tags, unnest(_caller) AS caller) n
     WHERE _end[n.place] IS NOT NULL;
    IF kept.told THEN
        -- As agi_router.tell_binding and agi_router.tell do of one, here of all at once.
        WITH told AS (
            INSERT INTO agi_router.event (id, day, block, binding_id, tenant_id, sequence, at, type, data)
            SELECT nextval('agi_router.event_id'), (_looked AT TIME ZONE 'UTC')::date, b.block, b.id, b.tenant_id, b.sequence,
                   _looked, 'binding.created',
                   agi_router.describe_binding(
                       b.mode, b.pool, b.state, b.order_id, b.out_id, b.user_data, b.begins_at,
                       b.expires_at, b.ended_at, b.max_calls, b.calls_used)
              FROM agi_router.binding b
             WHERE b.block = _block AND b.id = ANY (_id)
            RETURNING event.*)
        INSERT INTO agi_router.delivery (webhook_id, event_id, day, block, binding_id, sequence)
        SELECT w.id, t.id, t.day, t.block, t.binding_id, t.sequence
          FROM told t, agi_router.webhook w
         WHERE w.tenant_id = t.tenant_id AND t.type = ANY (w.types) AND w.state <> 'removed';
    END IF;
    IF _rules IS NOT NULL THEN
        _made := ARRAY(SELECT _end[p.place] IS NOT NULL
                         FROM (SELECT generate_subscripts(_id, 1) AS place) p ORDER BY p.place);
        IF kept.ruled THEN
            _refused := agi_router.keep_rules(
                _block, made.tenant_id, kept.consent, kept.max_pair_binds, kept.max_order_pairs, kept.refuses_pairs,
                _terms, _rules, _id, _made);
        END IF;
        -- As step by step: what is counted comes last, and the key's count first.
        IF _refused = '{}' AND (_rules ->> 'counted')::boolean
           AND (_rules ->> 'api_key' IS NOT NULL
                AND EXISTS (SELECT q.most
                              FROM agi_router.take_key_quota(
                                   _rules ->> 'api_key', cardinality(array_positions(_made, true))) q)
                OR EXISTS (SELECT q.most
                             FROM agi_router.take_quota(
                                  made.tenant_id, cardinality(array_positions(_made, true))) q)) THEN
            _refused := _id;
        END IF;
        IF _refused <> '{}' THEN
            RAISE integrity_constraint_violation;
        END IF;
    END IF;
    -- Not before: what is returned stays so, though what was done is undone.
    RETURN QUERY
    SELECT _id[p.place], _drawn[p.place], made.begins_at, _end[p.place]
      FROM (SELECT generate_subscripts(_id, 1) AS place) p
     WHERE _end[p.place] IS NOT NULL;
EXCEPTION
    -- Somebody was faster, a row is refused, or keys were rotated: all is undone, and a transaction can go on.
    WHEN integrity_constraint_violation OR data_exception OR SQLSTATE 'AR001' THEN
        RETURN QUERY SELECT n.refused, NULL::bigint, NULL::timestamptz, NULL::timestamptz FROM unnest(_refused) n (refused);
END
$$;
COMMENT ON FUNCTION agi_router.bind_drawn IS 'Makes bindings of a tenant in one block, under these keys, each on the number drawn for it; one that cannot be had so is left out. _terms: columns of each by name, its id among them; one without an end lives for _life from its beginning. _id, _drawn, _tags: of each, the number drawn, which no other has, and the tags of its callers under every key. _place and the arrays behind it: their routes, each by the place of its binding in _id; in the order of their numbers and callers. None is made where somebody is faster, a row is refused, or these are not the current keys. _stride: if none is made, look through numbers that lie so far apart, and tell one that the first of the bindings could be made on; it begins at no time. _rules: null where the caller knows of no rule but that of orders, and of no pool and no quota; else tenant_id, pool and pool_version (null: none), consents and real_names (whether people are told because of them), pairs (whether they are), within (the time in which pairs are counted), counted (whether quotas are), api_key (null: its is not), and for each binding people (see agi_router.state_consents), and pair, a and b: the tag of both together and those of either. Those that the rules refuse after all, if any, are told without a number, and none is made';
