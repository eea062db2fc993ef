CREATE OR REPLACE FUNCTION agi_router.check_mode() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
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
        PERFORM agi_router.refuse_row(TG_TABLE_NAME, TG_NAME);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.check_mode IS 'Refuses what does not belong to the mode of a binding';

CREATE OR REPLACE TRIGGER binding_mode
    AFTER INSERT OR UPDATE OF block, mode, callback, callback_window, extension, open_number, y_ttl, parent_id,
                              party_group
    ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_mode();
COMMENT ON TRIGGER binding_mode ON agi_router.binding IS 'What belongs to which mode';
