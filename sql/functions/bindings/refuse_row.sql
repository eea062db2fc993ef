CREATE OR REPLACE FUNCTION agi_router.refuse_row() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE check_violation USING
        MESSAGE = format('new row for relation "%s" violates "%s"', TG_TABLE_NAME, TG_NAME),
        SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END
$$;
COMMENT ON FUNCTION agi_router.refuse_row IS 'Fails as a CHECK of the trigger''s name would; the trigger''s condition is what must not be';

CREATE OR REPLACE TRIGGER binding_terms
    AFTER INSERT OR UPDATE OF max_calls, ring_timeout, max_duration, language, order_id, counting,
                              direction, display_a, display_b, prompts, out_id, user_data, industrial_id,
                              pool, messages, max_messages
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
               AND NEW.prompts ~ '^[a-z0-9][a-z0-9_-]{0,15}$'
               AND length(NEW.out_id) BETWEEN 1 AND 128
               AND length(NEW.user_data) BETWEEN 1 AND 1024
               AND length(NEW.industrial_id) BETWEEN 1 AND 128
               AND NEW.pool ~ '^[A-Za-z][A-Za-z0-9._-]{0,63}$'
               AND NEW.messages IN ('both', 'a', 'b', 'off')
               AND NEW.max_messages > 0))
    EXECUTE FUNCTION agi_router.refuse_row();
COMMENT ON TRIGGER binding_terms ON agi_router.binding IS 'What the terms of a binding may be; null is none';

CREATE OR REPLACE TRIGGER binding_mode
    AFTER INSERT OR UPDATE OF block, mode, callback, callback_window, extension, open_number, y_ttl, parent_id,
                              party_group
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
               AND (NEW.mode = 'axyb' OR NEW.y_ttl IS NULL AND NEW.parent_id IS NULL)
               AND NEW.party_group ~ '^[A-Za-z][A-Za-z0-9._-]{0,63}$'
               AND (NEW.party_group IS NULL OR NEW.mode IN ('gxb', 'gxyb'))))
    EXECUTE FUNCTION agi_router.refuse_row();
COMMENT ON TRIGGER binding_mode ON agi_router.binding IS 'What belongs to which mode';

CREATE OR REPLACE TRIGGER binding_state
    AFTER INSERT OR UPDATE OF state, ended_at, calls_settled
    ON agi_router.binding FOR EACH ROW
    WHEN (NOT (NEW.state IN ('active', 'expired', 'unbound', 'order_ended', 'used_up',
                             'party_recycled', 'recycle_unknown')
               AND (NEW.state = 'active') = (NEW.ended_at IS NULL)
               AND NEW.calls_settled >= 0))
    EXECUTE FUNCTION agi_router.refuse_row();
COMMENT ON TRIGGER binding_state ON agi_router.binding IS 'What ended a binding goes with when it ended';
