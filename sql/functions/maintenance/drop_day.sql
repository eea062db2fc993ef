CREATE OR REPLACE FUNCTION agi_router.drop_day(parent text, before date) RETURNS date
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
-- Calls wait while this waits for the parent, so it does not wait long, and has all else by then. One at a
-- time, for the same reason.
DECLARE
    oldest text;
    its_day date;
BEGIN
    IF parent NOT IN ('call', 'event', 'message') THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s has no days', parent);
    END IF;
    SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD')
      INTO oldest, its_day
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = format('agi_router.%I', parent)::regclass AND c.relname ~ '_[0-9]{8}$'
     ORDER BY c.relname
     LIMIT 1;
    -- Whoever asks: what is younger than six months has to be kept.
    IF its_day IS NULL OR its_day >= least(before, (now() AT TIME ZONE 'UTC')::date - 183) THEN
        RETURN NULL;
    END IF;
    EXECUTE format('LOCK TABLE agi_router.%I IN ACCESS EXCLUSIVE MODE', oldest);
    EXECUTE format('LOCK TABLE agi_router.%I IN ACCESS EXCLUSIVE MODE', parent || '_other');
    EXECUTE format('LOCK TABLE ONLY agi_router.%I IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE format('DROP TABLE agi_router.%I', oldest);
    RETURN its_day;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.drop_day IS 'Drops the oldest partition of a table, call, event or message, if its day is before this one and older than six months, and returns the day; null: nothing to drop, or no lock to be had now';
REVOKE EXECUTE ON FUNCTION agi_router.drop_day FROM PUBLIC;
