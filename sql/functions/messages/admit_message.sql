CREATE OR REPLACE FUNCTION agi_router.admit_message(
    _block bigint, _tag_key integer, _seal_key integer, _x_number bigint, _tags bigint[], _id text, _day date,
    _same bytea, _asked bytea, _link_in text, _link_out text, _validity interval, _octets integer, _parts integer,
    _body bytea, _strangers bigint[], _rules integer, _hold interval, _opts_out boolean,
    _lease interval, _scope integer, _check_id uuid, _check_verdict text, _check_ms integer,
    _tenant_check_id uuid, _tenant_check_verdict text, _tenant_check_ms integer, _stranger_of bigint,
    _stranger bytea)
RETURNS agi_router.facts
LANGUAGE plpgsql AS $$
-- The guards below are those of agi_router/bindings/reach.py. Taking the use and checking it are one
-- UPDATE, as in agi_router.admit: a concurrent text waits for the row and checks the newest version.
DECLARE
    _now    timestamptz := clock_timestamp();
    _tag    bigint := _tags[1];
    _chosen bytea;
    _latest boolean;
    _receiver_tag bigint;
    _until  timestamptz;
    facts   agi_router.facts;
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    IF _asked IS NOT NULL THEN
        -- By HTTP a key is the same for ten minutes.
        DELETE FROM agi_router.message_seen s
         WHERE s.block = _block AND s.same = _same AND s.asked IS NOT NULL AND s.at < _now - interval '10 minutes';
    END IF;
    -- A repeat may fail a guard for the use that the first one took, so it is known before. It is no error: others
    -- share the transaction.
    IF EXISTS (SELECT 1 FROM agi_router.message_seen s WHERE s.block = _block AND s.same = _same) THEN
        RETURN NULL;
    END IF;
    IF cardinality(_tags) > 1 THEN
        SELECT o.caller_tag
          INTO _tag
          FROM agi_router.route o
         WHERE o.block = _block AND o.x_number = _x_number AND o.caller_tag = ANY (_tags)
         ORDER BY array_position(_tags, o.caller_tag)
         LIMIT 1;
    END IF;
    UPDATE agi_router.binding b
       SET messages_used = b.messages_used + 1
      FROM agi_router.route r
      LEFT JOIN agi_router.binding c ON c.block = r.block AND c.id = r.child_id,
           agi_router.block k,
           agi_router.tenant t
     WHERE r.block = _block AND r.x_number = _x_number AND r.caller_tag = _tag
       AND b.block = _block AND b.id = r.binding_id
       AND k.block = _block AND k.state <> 'returned' AND k.valid_from <= _now AND k.valid_until > _now
       AND t.id = b.tenant_id AND t.active AND t.qualified_from <= _now AND t.qualified_until > _now
       AND t.message_rules IS NOT DISTINCT FROM _rules
       AND (_scope IS NULL OR t.id = _scope)
       AND b.ended_at IS NULL AND b.state <> 'held' AND b.begins_at <= _now AND b.expires_at > _now
       AND b.mode <> 'axe'
       -- Who reaches A by AX is whom A answers: he is not let through before he can be written down.
       AND (b.mode <> 'ax' OR r.side <> 'b' OR b.callback <> 'last' OR b.id IS NOT DISTINCT FROM _stranger_of)
       AND NOT (b.callback IS NOT DISTINCT FROM 'all' AND coalesce(cardinality(r.callee_tags), 0) > 1)
       AND (b.max_messages IS NULL OR b.messages_used < b.max_messages)
       AND (b.messages = 'both' OR b.messages = r.side)
       AND (r.callee IS NOT NULL
            OR r.last_callee IS NOT NULL
               AND (b.callback_window IS NULL OR _now - r.last_at < make_interval(secs => b.callback_window)))
       AND r.shown IS NOT NULL
       AND (b.hours IS NULL AND t.hours IS NULL
            OR agi_router.is_open(coalesce(b.hours, t.hours), t.time_zone, _now))
       AND (r.child_id IS NULL OR c.ended_at IS NULL AND c.expires_at > _now)
       -- As in agi_router.admit.
       AND (CASE WHEN r.last_callee IS NOT NULL
                  AND (b.callback_window IS NULL OR _now - r.last_at < make_interval(secs => b.callback_window))
                 THEN r.last_tag = ANY (_tags) ELSE r.callee_tags && _tags END) IS NOT TRUE
       -- As in agi_router.admit; of several who would ring in turn the first receives it.
       AND (NOT EXISTS (SELECT 1
                          FROM agi_router.lock_mark m
                         WHERE m.key = ANY (r.callee_tags || _tags
                                            || ARRAY[_x_number, r.shown, _block, b.tenant_id, r.last_tag]))
            OR agi_router.passes_locks(
                   ARRAY[_x_number, r.shown, _block, b.tenant_id], _tags,
                   CASE WHEN r.last_callee IS NOT NULL
                         AND (b.callback_window IS NULL
                              OR _now - r.last_at < make_interval(secs => b.callback_window))
                        THEN ARRAY[r.last_tag] ELSE r.callee_tags[1:1] END,
                   b.tenant_id, _now, _strangers))
    RETURNING true, _now, true, true, true, false,
              b.id, b.tenant_id, b.mode, r.side, r.caller_tag, r.callee, r.last_callee, r.last_at, r.shown,
              c.expires_at, b.state, b.messages, b.begins_at, b.expires_at, b.ended_at, b.max_messages,
              b.messages_used - 1,
              b.callback, b.callback_window, CASE r.side WHEN 'a' THEN b.display_b ELSE b.display_a END,
              b.ring_timeout, b.max_duration, b.language, b.prompts, true, NULL::integer, false, false,
              -- First the tags of the last caller and of the other, where its receiver is to be known by one; of a text
              -- that is taken no locks are told.
              CASE WHEN _body IS NULL OR b.mode = 'ax' AND r.side = 'a'
                   THEN jsonb_build_array(r.last_tag, r.callee_tags[1]) END, NULL::jsonb, true, false, false
         INTO facts;
    IF NOT FOUND THEN
        -- The first one may have come between the look above and the UPDATE, and have taken the last use.
        IF EXISTS (SELECT 1 FROM agi_router.message_seen s WHERE s.block = _block AND s.same = _same) THEN
            RETURN NULL;
        END IF;
        RETURN agi_router.find_message_facts(_block, _x_number, _tags, _now, _strangers, _scope);
    END IF;
    _latest := facts.last_callee IS NOT NULL
               AND (facts.callback_window IS NULL
                    OR _now - facts.last_at < make_interval(secs => facts.callback_window));
    _receiver_tag := (facts.locks ->> CASE WHEN _latest THEN 0 ELSE 1 END)::bigint;
    facts.locks := NULL;
    _chosen := CASE WHEN _latest THEN facts.last_callee ELSE facts.callee END;
    _until := least(_now + _validity, facts.expires_at, facts.child_until);
    -- One that came meanwhile by the same request collides here, and everything above is rolled back.
    INSERT INTO agi_router.message_seen (block, same, id, link, at, asked, receiver_tag)
    VALUES (_block, _same, _id, _link_in, _now, _asked, CASE WHEN _body IS NULL THEN _receiver_tag END);
    INSERT INTO agi_router.message (block, id, day, x_number, binding_id, tenant_id, side, shown, link_in, octets,
                                    parts, received_at, expires_at, state, done_at, check_id, check_verdict, check_ms,
                                    tenant_check_id, tenant_check_verdict, tenant_check_ms)
    VALUES (_block, _id, _day, _x_number, facts.binding_id, facts.tenant_id, facts.side, facts.shown, _link_in,
            _octets, _parts, _now, _until,
            CASE WHEN _body IS NULL THEN 'sent' WHEN _hold IS NULL THEN 'queued' ELSE 'held' END,
            CASE WHEN _body IS NULL THEN _now END, _check_id, _check_verdict, _check_ms,
            _tenant_check_id, _tenant_check_verdict, _tenant_check_ms);
    -- Whose carrier keeps it is not owed by us.
    IF _body IS NOT NULL THEN
        INSERT INTO agi_router.message_out (block, id, day, binding_id, link_out, received_at, next_at, expires_at,
                                            held, attempts, in_hand, x_number, caller_tag, side, shown, purpose, callee,
                                            stranger_tag, body)
        VALUES (_block, _id, _day, facts.binding_id, _link_out, _now,
                CASE WHEN _lease IS NULL THEN least(_until, _now + coalesce(_hold, '0')) ELSE _now + _lease END, _until,
                _hold IS NOT NULL, (_lease IS NOT NULL)::integer, _lease IS NOT NULL,
                _x_number,
                -- A stranger is sealed for no tag: see agi_router.remember_caller.
                CASE WHEN _latest AND facts.mode = 'ax' THEN 0 ELSE facts.caller_tag END, facts.side, facts.shown,
                CASE WHEN _latest THEN 'last_caller' ELSE 'callee' END, _chosen,
                CASE WHEN _latest THEN _receiver_tag END, _body);
        PERFORM agi_router.count_seals(1);
    END IF;
    PERFORM agi_router.tell_message(
        _block, _id, _day, facts.tenant_id,
        CASE WHEN _body IS NULL THEN 'message.sent' WHEN _hold IS NULL THEN 'message.accepted' ELSE 'message.held' END);
    IF facts.callback = 'last' AND facts.side = 'a' AND facts.mode IN ('gxb', 'gxyb') THEN
        -- The member who wrote last is the one whom B answers.
        UPDATE agi_router.route back
           SET last_callee = member.caller, last_tag = member.caller_tag, last_at = _now
          FROM agi_router.route member
         WHERE member.block = _block AND member.x_number = _x_number AND member.caller_tag = facts.caller_tag
           AND member.caller IS NOT NULL
           AND back.block = _block AND back.binding_id = facts.binding_id AND back.side = 'b'
           AND (facts.callback_window IS NOT NULL OR back.last_callee IS DISTINCT FROM member.caller);
    END IF;
    IF _stranger_of = facts.binding_id AND facts.side = 'b' AND facts.mode = 'ax' AND facts.callback = 'last' THEN
        PERFORM agi_router.remember_caller(
            _block, _tag_key, _seal_key, facts.binding_id, _stranger, _tags[1], _now);
    END IF;
    IF _opts_out AND facts.direction = 'both' AND facts.mode IN ('axb', 'axyb') THEN
        -- Who wrote is texted no more; a child has no terms of its own.
        UPDATE agi_router.binding b
           SET messages = facts.side, version = b.version + 1
         WHERE b.block = _block AND b.id = facts.binding_id;
    END IF;
    RETURN facts;
END
$$;
COMMENT ON FUNCTION agi_router.admit_message IS 'Takes one text of the binding behind (number, sender) and stores it to be sent, if every guard holds; returns the facts either way, where direction, max_calls and calls_used are those of texts. _strangers: see agi_router.admit; _rules: by which version of its tenant''s rules it was judged, -1: by none, so that it is not taken; _body: null: its carrier keeps it, and it counts as sent; _scope: whose binding it may be, null: anybody''s; _hold: how long it waits for its release; _opts_out: whether its sender is texted no more, where there are two parties; _lease: for how long the door that asks has it in hand, to send it at once, null: it waits for whoever takes it; _check_…, _tenant_check_…: what the services of the operator and of its tenant have said, null: they were not asked; _stranger_of, _stranger: the binding by AX whose A is to answer the sender, and the sender, sealed for that: without them no stranger''s text is taken by it. _asked: see agi_router.message_seen. Nothing where the same request was accepted before; fails with message_seen_pkey where it is just being';
