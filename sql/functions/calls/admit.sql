CREATE OR REPLACE FUNCTION agi_router.admit(
    _block bigint, _x_number bigint, _tags bigint[], _call_id text, _day date,
    _person bigint[] DEFAULT NULL, _strangers bigint[] DEFAULT '{}')
RETURNS agi_router.facts
LANGUAGE plpgsql AS $$
-- The guards below are those of agi_router/decision.py. Taking the use and checking it are one
-- UPDATE: a concurrent call waits for the row and checks the newest version.
DECLARE
    _now  timestamptz := clock_timestamp();
    _tag  bigint := _tags[1];
    _own  bigint[] := coalesce(_person, _tags);
    _callees bigint[];
    facts agi_router.facts;
BEGIN
    IF cardinality(_tags) > 1 THEN
        -- Should it change before the UPDATE looks, that finds none, and the caller asks again.
        SELECT o.caller_tag
          INTO _tag
          FROM agi_router.route o
         WHERE o.block = _block AND o.x_number = _x_number AND o.caller_tag = ANY (_tags)
         ORDER BY array_position(_tags, o.caller_tag)
         LIMIT 1;
    END IF;
    UPDATE agi_router.binding b
       SET calls_used = b.calls_used + 1,
           sequence = b.sequence + t.told_of_calls::integer
      FROM agi_router.route r,
           agi_router.block k,
           agi_router.tenant t
     WHERE r.block = _block AND r.x_number = _x_number AND r.caller_tag = _tag
       AND b.block = _block AND b.id = r.binding_id
       AND k.block = _block AND k.state <> 'returned' AND k.valid_from <= _now AND k.valid_until > _now
       AND t.id = b.tenant_id AND t.active AND t.qualified_from <= _now AND t.qualified_until > _now
       AND b.ended_at IS NULL AND b.state <> 'held' AND b.begins_at <= _now AND b.expires_at > _now
       AND (b.max_calls IS NULL OR b.calls_used < b.max_calls)
       AND (b.direction = 'both' OR b.direction = r.side)
       AND (r.callee IS NOT NULL
            OR r.last_callee IS NOT NULL
               AND (b.callback_window IS NULL OR _now - r.last_at < make_interval(secs => b.callback_window)))
       AND r.shown IS NOT NULL
       AND (b.hours IS NULL AND t.hours IS NULL
            OR agi_router.is_open(coalesce(b.hours, t.hours), t.time_zone, _now))
       AND (r.child_id IS NULL OR agi_router.child_until(_block, r.child_id) > _now)
       -- Tags alone are compared: once in 2^64 somebody is refused for the tag that another one has.
       AND (CASE WHEN r.last_callee IS NOT NULL
                  AND (b.callback_window IS NULL OR _now - r.last_at < make_interval(secs => b.callback_window))
                 THEN r.last_tag = ANY (_own) ELSE r.callee_tags && _own END) IS NOT TRUE
       -- One look by key at a table that is nearly empty; where it finds something, the rest is asked.
       AND (NOT EXISTS (SELECT 1
                          FROM agi_router.lock_mark m
                         WHERE m.key = ANY (r.callee_tags || _own
                                            || ARRAY[_x_number, r.shown, _block, b.tenant_id, r.last_tag]))
            OR agi_router.passes_locks(
                   ARRAY[_x_number, r.shown, _block, b.tenant_id], _own,
                   CASE WHEN r.last_callee IS NOT NULL
                         AND (b.callback_window IS NULL
                              OR _now - r.last_at < make_interval(secs => b.callback_window))
                        THEN ARRAY[r.last_tag] ELSE r.callee_tags END,
                   b.tenant_id, _now, _strangers))
    RETURNING true, _now, true, true, true, false,
              b.id, b.tenant_id, b.mode, r.side, r.caller_tag, r.callee, r.last_callee, r.last_at, r.shown,
              CASE WHEN r.child_id IS NOT NULL THEN agi_router.child_until(_block, r.child_id) END,
              b.state, b.direction, b.begins_at, b.expires_at, b.ended_at, b.max_calls, b.calls_used - 1,
              b.callback, b.callback_window, CASE r.side WHEN 'a' THEN b.display_b ELSE b.display_a END,
              b.ring_timeout, b.max_duration, b.language, b.prompts, true,
              CASE WHEN t.told_of_calls THEN b.sequence END, t.told_of_answers, t.has_check,
              -- First the tags of several callees, then the locks on them: of those others ring.
              CASE WHEN cardinality(r.callee_tags) > 1 THEN to_jsonb(r.callee_tags) END,
              CASE WHEN b.hours IS NOT NULL OR t.hours IS NOT NULL OR t.call_limits IS NOT NULL
                   THEN agi_router.describe_limits(coalesce(b.hours, t.hours), t.time_zone, t.call_limits, _now) END,
              true, t.notice,
              CASE WHEN b.record IS NOT NULL THEN b.record = 'on' ELSE t.record END
         INTO facts;
    IF NOT FOUND THEN
        -- A retry may fail a guard for the use that it took itself, or for what has come since.
        IF EXISTS (SELECT 1
                     FROM agi_router.call c
                    WHERE c.block = _block AND c.id = _call_id AND c.day = _day) THEN
            RAISE unique_violation USING
                MESSAGE = 'the call was admitted or settled before', CONSTRAINT = 'call_pkey';
        END IF;
        RETURN agi_router.find_facts(_block, _x_number, _tags, _now, _own, _strangers);
    END IF;
    IF facts.locks IS NOT NULL THEN
        _callees := ARRAY(SELECT t::bigint FROM jsonb_array_elements_text(facts.locks) t);
        facts.locks := agi_router.describe_locks(
            _callees, _own, _callees, facts.tenant_id, _now, _strangers);
    END IF;
    -- A call admitted or settled before collides here, and everything above is rolled back.
    INSERT INTO agi_router.call (block, id, day, x_number, binding_id, shown, tenant_id, side, state, received_at, record)
    VALUES (_block, _call_id, _day, _x_number, facts.binding_id, facts.shown, facts.tenant_id, facts.side,
            'reserved', _now, nullif(facts.record, false));
    IF facts.sequence IS NOT NULL THEN
        PERFORM agi_router.tell_calls(
            ARRAY[_block], _day, ARRAY[_call_id], NULL, ARRAY[facts.binding_id], ARRAY[facts.sequence]);
    END IF;
    IF facts.callback = 'last' AND facts.side = 'a' AND facts.mode IN ('gxb', 'gxyb') THEN
        -- The member who called last is the one whom B calls back.
        UPDATE agi_router.route back
           SET last_callee = member.caller, last_tag = member.caller_tag, last_at = _now
          FROM agi_router.route member
         WHERE member.block = _block AND member.x_number = _x_number AND member.caller_tag = facts.caller_tag
           AND member.caller IS NOT NULL
           AND back.block = _block AND back.binding_id = facts.binding_id AND back.side = 'b'
           AND (facts.callback_window IS NOT NULL OR back.last_callee IS DISTINCT FROM member.caller);
    END IF;
    RETURN facts;
END
$$;
COMMENT ON FUNCTION agi_router.admit IS 'Takes one use of the binding behind (number, caller) and writes the call as reserved, if every guard holds; returns the facts either way. _tags: by which the caller is looked up, in order of preference; _person: those of its number, by which locks are found, where these are others; _strangers: locks that are known to be of somebody else with the same tag';
