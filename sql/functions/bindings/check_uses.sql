CREATE OR REPLACE FUNCTION agi_router.check_uses() RETURNS trigger
LANGUAGE plpgsql AS $$
-- By itself: a call pays for nothing else.
BEGIN
    IF NEW.calls_used NOT BETWEEN 0 AND NEW.max_calls OR NEW.messages_used NOT BETWEEN 0 AND NEW.max_messages THEN
        PERFORM agi_router.refuse_row(TG_TABLE_NAME, TG_NAME);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.check_uses IS 'Refuses uses of a binding beyond what it has';

CREATE OR REPLACE TRIGGER binding_uses
    AFTER INSERT OR UPDATE OF calls_used, max_calls, messages_used, max_messages
    ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_uses();
COMMENT ON TRIGGER binding_uses ON agi_router.binding IS 'How much of it may be used';
