-- A call pays for what changes with it, and for nothing else.
--
-- PostgreSQL reads every CHECK of a table anew, from its text in the catalogue, for each statement
-- that writes a row, whatever that statement sets. The two dozen of binding were a third of what an
-- admission cost. A trigger of some columns is not even looked at where a statement sets others. So
-- what a call does not change is checked by triggers, under the same conditions and with the same
-- error; what it does change is left to a CHECK.

-- Reads the table once, for the one CHECK that is new; calls wait meanwhile.
ALTER TABLE agi_router.binding
    DROP CONSTRAINT binding_max_calls_check,
    DROP CONSTRAINT binding_ring_timeout_check,
    DROP CONSTRAINT binding_max_duration_check,
    DROP CONSTRAINT binding_language_check,
    DROP CONSTRAINT binding_order_id_check,
    DROP CONSTRAINT binding_counting_check,
    DROP CONSTRAINT binding_direction_check,
    DROP CONSTRAINT binding_display_a_check,
    DROP CONSTRAINT binding_display_b_check,
    DROP CONSTRAINT binding_prompts_check,
    DROP CONSTRAINT binding_mode_check,
    DROP CONSTRAINT binding_callback_check,
    DROP CONSTRAINT binding_callback_mode_check,
    DROP CONSTRAINT binding_callback_window_check,
    DROP CONSTRAINT binding_check3,
    DROP CONSTRAINT binding_extension_check,
    DROP CONSTRAINT binding_check4,
    DROP CONSTRAINT binding_check2,
    DROP CONSTRAINT binding_check5,
    DROP CONSTRAINT binding_y_ttl_check,
    DROP CONSTRAINT binding_check6,
    DROP CONSTRAINT binding_state_check,
    DROP CONSTRAINT binding_check1,
    DROP CONSTRAINT binding_calls_settled_check,
    DROP CONSTRAINT binding_calls_used_check,
    DROP CONSTRAINT binding_check,
    ADD CONSTRAINT binding_uses CHECK (calls_used BETWEEN 0 AND max_calls);

CREATE FUNCTION agi_router.refuse_row() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE check_violation USING
        MESSAGE = format('new row for relation "%s" violates "%s"', TG_TABLE_NAME, TG_NAME),
        SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END
$$;
COMMENT ON FUNCTION agi_router.refuse_row IS 'Fails as a CHECK of the trigger''s name would; the trigger''s condition is what must not be';

-- After the row, not before it: triggers before an update have the row locked first, which is written.
CREATE TRIGGER binding_terms
    AFTER INSERT OR UPDATE OF max_calls, ring_timeout, max_duration, language, order_id, counting,
                              direction, display_a, display_b, prompts
    ON agi_router.binding FOR EACH ROW
    WHEN (NOT (NEW.max_calls > 0
               AND NEW.ring_timeout BETWEEN 5 AND 120
               AND NEW.max_duration BETWEEN 1 AND 14400
               AND NEW.language IN ('zh', 'en')
               AND length(NEW.order_id) BETWEEN 1 AND 128
               AND NEW.counting IN ('answered', 'attempts')
               AND NEW.direction IN ('both', 'a', 'b')
               AND NEW.display_a IN ('number', 'anonymous')
               AND NEW.display_b IN ('number', 'anonymous')
               AND NEW.prompts ~ '^[a-z0-9][a-z0-9_-]{0,15}$'))
    EXECUTE FUNCTION agi_router.refuse_row();
COMMENT ON TRIGGER binding_terms ON agi_router.binding IS 'What the terms of a binding may be; null is none';

CREATE TRIGGER binding_mode
    AFTER INSERT OR UPDATE OF block, mode, callback, callback_window, extension, open_number, y_ttl, parent_id
    ON agi_router.binding FOR EACH ROW
    WHEN (NOT (NEW.mode IN ('axb', 'axyb', 'gxb', 'gxyb', 'ax', 'axe')
               AND NEW.callback IN ('default', 'last', 'all', 'sequence')
               AND (NEW.callback IS NOT NULL) = (NEW.mode IN ('gxb', 'gxyb', 'ax', 'axe'))
               AND NEW.callback_window > 0
               AND (NEW.callback_window IS NULL OR NEW.callback = 'last')
               AND NEW.extension ~ '^[0-9]{1,4}$'
               AND (NEW.extension IS NOT NULL) = (NEW.mode = 'axe')
               AND NEW.open_number / 10000 = NEW.block
               AND (NEW.open_number IS NOT NULL) = (NEW.mode IN ('ax', 'axe'))
               AND NEW.y_ttl > 0
               AND (NEW.mode = 'axyb' OR NEW.y_ttl IS NULL AND NEW.parent_id IS NULL)))
    EXECUTE FUNCTION agi_router.refuse_row();
COMMENT ON TRIGGER binding_mode ON agi_router.binding IS 'What belongs to which mode';

CREATE TRIGGER binding_state
    AFTER INSERT OR UPDATE OF state, ended_at, calls_settled
    ON agi_router.binding FOR EACH ROW
    WHEN (NOT (NEW.state IN ('active', 'expired', 'unbound', 'order_ended', 'used_up')
               AND (NEW.state = 'active') = (NEW.ended_at IS NULL)
               AND NEW.calls_settled >= 0))
    EXECUTE FUNCTION agi_router.refuse_row();
COMMENT ON TRIGGER binding_state ON agi_router.binding IS 'What ended a binding goes with when it ended';

-- Admission: nearly every caller has one tag, which needs no order; and a child is joined, where two
-- subqueries had to be set up for calls that have none.

CREATE OR REPLACE FUNCTION agi_router.admit(_block bigint, _x_number bigint, _tags bigint[], _call_id text, _day date)
RETURNS agi_router.facts
LANGUAGE plpgsql AS $$
-- The guards below are those of agi_router/decision.py. Taking the use and checking it are one
-- UPDATE: a concurrent call waits for the row and checks the newest version.
DECLARE
    _now  timestamptz := clock_timestamp();
    _tag  bigint := _tags[1];
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
       SET calls_used = b.calls_used + 1
      FROM agi_router.route r
      LEFT JOIN agi_router.binding c ON c.block = r.block AND c.id = r.child_id,
           agi_router.block k,
           agi_router.tenant t
     WHERE r.block = _block AND r.x_number = _x_number AND r.caller_tag = _tag
       AND b.block = _block AND b.id = r.binding_id
       AND k.block = _block AND k.state <> 'returned' AND k.valid_from <= _now AND k.valid_until > _now
       AND t.id = b.tenant_id AND t.active
       AND b.ended_at IS NULL AND b.begins_at <= _now AND b.expires_at > _now
       AND (b.max_calls IS NULL OR b.calls_used < b.max_calls)
       AND (b.direction = 'both' OR b.direction = r.side)
       AND (r.callee IS NOT NULL
            OR r.last_callee IS NOT NULL
               AND (b.callback_window IS NULL OR r.last_at + make_interval(secs => b.callback_window) > _now))
       AND r.shown IS NOT NULL
       AND (r.child_id IS NULL OR c.ended_at IS NULL AND c.expires_at > _now)
    RETURNING true, _now, true, true, true, false,
              b.id, b.mode, r.side, r.caller_tag, r.callee, r.last_callee, r.last_at, r.shown, c.expires_at,
              b.state, b.direction, b.begins_at, b.expires_at, b.ended_at, b.max_calls, b.calls_used - 1,
              b.callback, b.callback_window, CASE r.side WHEN 'a' THEN b.display_b ELSE b.display_a END,
              b.ring_timeout, b.max_duration, b.language, b.prompts, true
         INTO facts;
    IF NOT FOUND THEN
        -- A retry may fail a guard for the use that it took itself, or for what has come since.
        IF EXISTS (SELECT
                     FROM agi_router.call c
                    WHERE c.block = _block AND c.id = _call_id AND c.day = _day) THEN
            RAISE unique_violation USING
                MESSAGE = 'the call was admitted or settled before', CONSTRAINT = 'call_pkey';
        END IF;
        RETURN agi_router.find_facts(_block, _x_number, _tags, _now);
    END IF;
    -- A call admitted or settled before collides here, and everything above is rolled back.
    INSERT INTO agi_router.call (block, id, day, x_number, binding_id, side, state, received_at)
    VALUES (_block, _call_id, _day, _x_number, facts.binding_id, facts.side, 'reserved', _now);
    IF facts.callback = 'last' AND facts.side = 'a' AND facts.mode IN ('gxb', 'gxyb') THEN
        -- The member who called last is the one whom B calls back.
        UPDATE agi_router.route back
           SET last_callee = member.caller, last_at = _now
          FROM agi_router.route member
         WHERE member.block = _block AND member.x_number = _x_number AND member.caller_tag = facts.caller_tag
           AND member.caller IS NOT NULL
           AND back.block = _block AND back.binding_id = facts.binding_id AND back.side = 'b'
           AND (facts.callback_window IS NOT NULL OR back.last_callee IS DISTINCT FROM member.caller);
    END IF;
    RETURN facts;
END
$$;
