CREATE OR REPLACE FUNCTION agi_router.bind_drawn(
    _block bigint, _tag_key integer, _seal_key integer, _tenant text, _digit integer, _terms jsonb,
    _life interval, _longest interval, _number_quarantine interval, _party_quarantine interval, _scope integer,
    _stride integer, _id bigint[], _drawn bigint[], _tags text[], _binding_id bigint[], _x_number bigint[],
    _caller_tag bigint[], _shown bigint[], _side text[], _callee bytea[], _callee_tags text[], _caller bytea[])
RETURNS TABLE (id bigint, x_number bigint, begins_at timestamptz, expires_at timestamptz)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- For the settings see agi_router.bind. What cannot be bound so is left out, and nothing says why: the
-- caller then asks step by step.
DECLARE
    made    agi_router.binding;
    _told   boolean;
    _now    timestamptz;
    _looked timestamptz;
    _made   bigint[];
    _on     bigint[];
    _end    timestamptz[];
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    _now := clock_timestamp();
    -- What every new binding has; the terms say the rest, and its number, for which it was sealed.
    made.block := _block;
    made.calls_used := 0;
    made.messages_used := 0;
    made.calls_settled := 0;
    made.sequence := 0;
    made.begins_at := now();
    made.expires_at := made.begins_at + _life;
    made.state := 'active';
    made.version := 1;
    SELECT t.id, 'binding.created' = ANY (t.told)
      INTO made.tenant_id, _told
      FROM agi_router.block k, agi_router.tenant t
     WHERE k.block = _block AND t.name = _tenant AND t.active AND agi_router.in_scope(t.id, _scope)
       AND agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                                 t.id, _digit, _now) IS NULL
       -- Its own blocks come first, one that it has just been given too.
       AND (k.tenant_id IS NOT NULL
            OR NOT EXISTS (
                SELECT 1
                  FROM agi_router.block o
                 WHERE o.tenant_id = t.id
                   AND agi_router.why_closed(o.block, o.tenant_id, o.state, o.valid_from, o.valid_until,
                                             t.id, _digit, _now) IS NULL))
       FOR KEY SHARE OF k; -- waits where the block is just being returned, and looks again
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- A lock that is just being set is seen, and one that comes later waits: see agi_router.set_lock.
    PERFORM agi_router.await_locks(
        ARRAY(SELECT unnest(t::bigint[]) FROM unnest(_tags) t) || _drawn || ARRAY[_block, made.tenant_id]);
    _looked := clock_timestamp();
    WITH chosen AS MATERIALIZED (
        SELECT n.id, n.drawn AS x_number
          FROM unnest(_id, _drawn, _tags) n (id, drawn, tags)
         WHERE EXISTS (SELECT c.x_number
                         FROM agi_router.choose_x(
                              _block, ARRAY[n.drawn], n.tags::bigint[], _number_quarantine, _party_quarantine,
                              1) c)
           -- It may be a stranger's: that is found out step by step.
           AND NOT EXISTS (SELECT f.lock_id
                             FROM agi_router.find_locks(
                                  n.tags::bigint[] || ARRAY[n.drawn, _block, made.tenant_id], made.tenant_id,
                                  _looked, '{}') f)
           -- Nobody is in the way, nor has to be moved out of it.
           AND NOT EXISTS (SELECT 1
                             FROM agi_router.route r
                            WHERE r.block = _block AND r.x_number = n.drawn
                              AND r.caller_tag = ANY (n.tags::bigint[]))
           AND NOT EXISTS (SELECT 1
                             FROM agi_router.binding b
                            WHERE b.block = _block AND b.open_number = n.drawn AND b.ended_at IS NULL)
    ), bound AS (
        INSERT INTO agi_router.binding AS b
        SELECT t.*
          FROM jsonb_populate_recordset(made, _terms) t
         WHERE t.id IN (SELECT c.id FROM chosen c)
           AND t.expires_at > _now AND t.expires_at <= _now + _longest
        RETURNING b.id, b.expires_at
    ), routed AS (
        INSERT INTO agi_router.route (block, binding_id, x_number, caller_tag, shown, side, callee, callee_tags,
                                      caller, begins_at, ends_at)
        SELECT _block, n.binding_id, n.x_number, n.caller_tag, n.shown, n.side, n.callee, n.callee_tags::bigint[],
               n.caller, _now, b.expires_at
          FROM unnest(_binding_id, _x_number, _caller_tag, _shown, _side, _callee, _callee_tags, _caller)
               n (binding_id, x_number, caller_tag, shown, side, callee, callee_tags, caller)
          JOIN bound b ON b.id = n.binding_id
         ORDER BY n.x_number, n.caller_tag -- one order for all, or two binds of the same parties could deadlock
    )
    SELECT array_agg(b.id), array_agg(c.x_number), array_agg(b.expires_at)
      INTO _made, _on, _end
      FROM bound b
      JOIN chosen c ON c.id = b.id;
    IF _made IS NULL AND _stride IS NOT NULL THEN
        -- Few are free, or few for this party: one is looked for, and is not bound before it is sealed for.
        RETURN QUERY
        SELECT _id[1], c.x_number, NULL::timestamptz, NULL::timestamptz
          FROM agi_router.choose_x(
               _block,
               ARRAY(SELECT _block * 10000 + (_drawn[1] + s * _stride) % 10000 FROM generate_series(1, 250) s),
               _tags[1]::bigint[], _number_quarantine, _party_quarantine, 1) c;
        RETURN;
    END IF;
    IF _told THEN
        PERFORM agi_router.tell_binding(_block, n.id, 'binding.created')
           FROM unnest(_made) n (id);
    END IF;
    -- Not before: what is returned stays so, though what was done is undone.
    RETURN QUERY
    SELECT n.id, n.x_number, made.begins_at, n.expires_at
      FROM unnest(_made, _on, _end) n (id, x_number, expires_at);
EXCEPTION
    -- Somebody was faster, a row is refused, or keys were rotated: all is undone, and a transaction can go on.
    WHEN integrity_constraint_violation OR data_exception OR SQLSTATE 'AR001' THEN
        RETURN;
END
$$;
COMMENT ON FUNCTION agi_router.bind_drawn IS 'Makes bindings of a tenant in one block, under these keys, each on the number drawn for it; one that cannot be had so is left out. _terms: columns of each by name, its id among them; one without an end lives for _life from its beginning. _id, _drawn, _tags: of each, the number drawn, which no other has, and the tags of its callers under every key. _binding_id and the arrays behind it: their routes. None is made where somebody is faster, a row is refused, or these are not the current keys. _stride: if none is made, look through numbers that lie so far apart, and tell one that the first of the bindings could be made on; it begins at no time';
