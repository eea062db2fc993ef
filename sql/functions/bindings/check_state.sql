CREATE OR REPLACE FUNCTION agi_router.check_state() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (NEW.state IN ('active', 'held', 'expired', 'unbound', 'order_ended', 'used_up',
                          'party_recycled', 'recycle_unknown', 'consent_withdrawn')
            AND (NEW.state IN ('active', 'held')) = (NEW.ended_at IS NULL)
            AND NEW.calls_settled >= 0) THEN
        PERFORM agi_router.refuse_row(TG_TABLE_NAME, TG_NAME);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.check_state IS 'Refuses an end without its time, and a time without an end';

CREATE OR REPLACE TRIGGER binding_state
    AFTER INSERT OR UPDATE OF state, ended_at, calls_settled
    ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_state();
COMMENT ON TRIGGER binding_state ON agi_router.binding IS 'What ended a binding goes with when it ended';
