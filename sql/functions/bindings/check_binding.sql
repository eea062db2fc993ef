CREATE OR REPLACE FUNCTION agi_router.check_binding() RETURNS trigger
LANGUAGE plpgsql AS $$
-- A new binding is looked at by one trigger, because each takes longer to begin than to look; a change by those of the
-- columns that it sets. As CHECKs, all would be read anew from the catalogue for each statement that writes. Every
-- transaction makes a condition ready anew, so a long one stands behind a short one where that can tell.
DECLARE
    _part CONSTANT text := TG_ARGV[0]; -- null: all
BEGIN
    IF coalesce(_part, 'terms') = 'terms' THEN
        IF NOT (NEW.max_calls > 0
                AND NEW.ring_timeout BETWEEN 5 AND 120
                AND NEW.max_duration BETWEEN 1 AND 14400
                AND NEW.language IN ('zh', 'en')
                AND length(NEW.order_id) BETWEEN 1 AND 128
                AND NEW.counting IN ('answered', 'attempts')
                AND NEW.direction IN ('both', 'a', 'b')
                AND NEW.display_a IN ('number', 'anonymous')
                AND NEW.display_b IN ('number', 'anonymous')
                AND NEW.prompts ~ '^[a-z0-9][a-z0-9_-]{0,15}$'
                AND length(NEW.out_id) BETWEEN 1 AND 128
                AND length(NEW.user_data) BETWEEN 1 AND 1024
                AND length(NEW.industrial_id) BETWEEN 1 AND 128
                AND NEW.pool ~ '^[A-Za-z][A-Za-z0-9._-]{0,63}$'
                AND NEW.messages IN ('both', 'a', 'b', 'off')
                AND NEW.max_messages > 0
                AND length(NEW.hours) BETWEEN 1 AND 400
                AND NEW.record IN ('on', 'off')) THEN
            PERFORM agi_router.refuse_row(TG_TABLE_NAME, 'binding_terms');
        END IF;
    END IF;
    IF coalesce(_part, 'mode') = 'mode'
       AND (NEW.mode <> 'axb'
            OR num_nonnulls(NEW.callback, NEW.callback_window, NEW.extension, NEW.open_number, NEW.y_ttl, NEW.parent_id,
                            NEW.party_group) > 0) THEN
        IF NOT (NEW.mode IN ('axb', 'axyb', 'gxb', 'gxyb', 'ax', 'axe')
                AND NEW.callback IN ('default', 'last', 'all', 'sequence')
                AND (NEW.callback IS NOT NULL) = (NEW.mode IN ('gxb', 'gxyb', 'ax', 'axe'))
                AND NEW.callback_window > 0
                AND (NEW.callback_window IS NULL OR NEW.callback = 'last')
                AND NEW.extension ~ '^[0-9]{1,4}$'
                AND (NEW.extension IS NOT NULL) = (NEW.mode = 'axe')
                AND NEW.open_number / 10000 = NEW.block
                AND (NEW.open_number IS NOT NULL) = (NEW.mode IN ('ax', 'axe'))
                AND NEW.y_ttl > 0
                AND (NEW.mode = 'axyb' OR NEW.y_ttl IS NULL AND NEW.parent_id IS NULL)
                AND NEW.party_group ~ '^[A-Za-z][A-Za-z0-9._-]{0,63}$'
                AND (NEW.party_group IS NULL OR NEW.mode IN ('gxb', 'gxyb'))) THEN
            PERFORM agi_router.refuse_row(TG_TABLE_NAME, 'binding_mode');
        END IF;
    END IF;
    IF coalesce(_part, 'state') = 'state' THEN
        IF NOT (NEW.state IN ('active', 'held', 'expired', 'unbound', 'order_ended', 'used_up',
                              'party_recycled', 'recycle_unknown', 'consent_withdrawn')
                AND (NEW.state IN ('active', 'held')) = (NEW.ended_at IS NULL)
                AND NEW.calls_settled >= 0) THEN
            PERFORM agi_router.refuse_row(TG_TABLE_NAME, 'binding_state');
        END IF;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.check_binding IS 'Refuses what a binding may not be: terms that it may not have (null is none), what does not belong to its mode, an end without its time and a time without an end';

CREATE OR REPLACE TRIGGER binding_new
    AFTER INSERT ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_binding();
COMMENT ON TRIGGER binding_new ON agi_router.binding IS 'What a new binding may be: all that the others look at';

CREATE OR REPLACE TRIGGER binding_terms
    AFTER UPDATE OF max_calls, ring_timeout, max_duration, language, order_id, counting,
                              direction, display_a, display_b, prompts, out_id, user_data, industrial_id,
                              pool, messages, max_messages, hours, record
    ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_binding('terms');
COMMENT ON TRIGGER binding_terms ON agi_router.binding IS 'What the terms of a binding may be; null is none';

CREATE OR REPLACE TRIGGER binding_mode
    AFTER UPDATE OF block, mode, callback, callback_window, extension, open_number, y_ttl, parent_id,
                              party_group
    ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_binding('mode');
COMMENT ON TRIGGER binding_mode ON agi_router.binding IS 'What belongs to which mode';

CREATE OR REPLACE TRIGGER binding_state
    AFTER UPDATE OF state, ended_at, calls_settled
    ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_binding('state');
COMMENT ON TRIGGER binding_state ON agi_router.binding IS 'What ended a binding goes with when it ended';
