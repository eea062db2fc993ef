CREATE OR REPLACE FUNCTION agi_router.settled_day(_day date) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    today date := (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::date;
BEGIN
    -- A line may have waited for days.
    RETURN _day BETWEEN today - 1 AND today + 1
           OR _day < today AND to_regclass(format('agi_router.call_%s', to_char(_day, 'YYYYMMDD'))) IS NOT NULL;
END
$$;
COMMENT ON FUNCTION agi_router.settled_day IS 'Whether a call that was not admitted may have this day: within a day of the database''s clock, or an earlier one that has a partition';
