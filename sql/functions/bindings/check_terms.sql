CREATE OR REPLACE FUNCTION agi_router.check_terms() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
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
        PERFORM agi_router.refuse_row(TG_TABLE_NAME, TG_NAME);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.check_terms IS 'Refuses terms that a binding may not have; null is none';

CREATE OR REPLACE TRIGGER binding_terms
    AFTER INSERT OR UPDATE OF max_calls, ring_timeout, max_duration, language, order_id, counting,
                              direction, display_a, display_b, prompts, out_id, user_data, industrial_id,
                              pool, messages, max_messages, hours, record
    ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_terms();
COMMENT ON TRIGGER binding_terms ON agi_router.binding IS 'What the terms of a binding may be; null is none';
