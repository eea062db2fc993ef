CREATE OR REPLACE FUNCTION agi_router.detach_day(_kind text, _day date, _rule text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
-- Calls wait while this waits for the parent, so it does not wait long, and has all else by then. What takes time,
-- looking through the day's rows, is done once nobody else reads the table.
DECLARE
    _own  CONSTANT text := _kind || to_char(_day, '_YYYYMMDD');
    _over CONSTANT text := _kind || to_char(_day, '_over_YYYYMMDD');
BEGIN
    IF _kind NOT IN ('call', 'event', 'message') THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s has no days', _kind);
    END IF;
    -- Whoever asks: what is younger than six months has to be kept.
    IF _day > agi_router.last_free_day(now()) THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE agi_router.%I IN ACCESS EXCLUSIVE MODE', _own);
    EXECUTE format('LOCK TABLE agi_router.%I IN ACCESS EXCLUSIVE MODE', _kind || '_other');
    EXECUTE format('LOCK TABLE ONLY agi_router.%I IN ACCESS EXCLUSIVE MODE', _kind);
    EXECUTE format('ALTER TABLE agi_router.%I DETACH PARTITION agi_router.%I', _kind, _own);
    EXECUTE format('ALTER TABLE agi_router.%I RENAME TO %I', _own, _over);
    INSERT INTO agi_router.deletion (kind, day, whole, rule) VALUES (_kind, _day, true, _rule);
    RETURN true;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        RETURN false;
END
$$;
COMMENT ON FUNCTION agi_router.detach_day IS 'Takes a day that is older than six months out of a table, call, event or message, and begins its deletion; false: it is younger, or no lock is to be had now';
REVOKE EXECUTE ON FUNCTION agi_router.detach_day FROM PUBLIC;
