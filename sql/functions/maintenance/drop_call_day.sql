CREATE OR REPLACE FUNCTION agi_router.drop_call_day(before date) RETURNS date
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
-- Calls wait while this waits for call, so it does not wait long, and has all else by then. One at a
-- time, for the same reason.
DECLARE
    oldest text;
    its_day date;
BEGIN
    SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD')
      INTO oldest, its_day
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'agi_router.call'::regclass AND c.relname ~ '^call_[0-9]{8}$'
     ORDER BY c.relname
     LIMIT 1;
    -- Whoever asks: what is younger than six months has to be kept.
    IF its_day IS NULL OR its_day >= least(before, (now() AT TIME ZONE 'UTC')::date - 183) THEN
        RETURN NULL;
    END IF;
    EXECUTE format('LOCK TABLE agi_router.%I IN ACCESS EXCLUSIVE MODE', oldest);
    LOCK TABLE agi_router.call_other IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY agi_router.call IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('DROP TABLE agi_router.%I', oldest);
    RETURN its_day;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.drop_call_day IS 'Drops the oldest partition of call if its day is before this one and older than six months, and returns the day; null: nothing to drop, or no lock to be had now';
REVOKE EXECUTE ON FUNCTION agi_router.drop_call_day FROM PUBLIC;
