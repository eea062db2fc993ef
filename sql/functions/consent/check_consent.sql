CREATE OR REPLACE FUNCTION agi_router.check_consent() RETURNS trigger
LANGUAGE plpgsql AS $$
-- As CHECKs they would be read anew from the catalogue for each bind that states two.
BEGIN
    IF NOT (NEW.act IN ('given', 'withdrawn')
            AND NEW.purpose IN ('binding', 'recording')
            AND length(NEW.order_id) BETWEEN 1 AND 128
            AND NEW.how IN ('app', 'paper', 'spoken')
            AND (NEW.act = 'given') = (NEW.how IS NOT NULL)
            AND length(NEW.evidence) = 32
            AND length(NEW.version) BETWEEN 1 AND 64
            AND length(NEW.added_by) BETWEEN 1 AND 128) THEN
        PERFORM agi_router.refuse_row(TG_TABLE_NAME, TG_NAME);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.check_consent IS 'Refuses what a line of the consent ledger may not be';

CREATE OR REPLACE TRIGGER consent_sound
    AFTER INSERT OR UPDATE ON agi_router.consent FOR EACH ROW EXECUTE FUNCTION agi_router.check_consent();
COMMENT ON TRIGGER consent_sound ON agi_router.consent IS 'What a line may be; null is none';
