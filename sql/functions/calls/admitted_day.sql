CREATE OR REPLACE FUNCTION agi_router.admitted_day(_day date) RETURNS date
LANGUAGE plpgsql AS $$
BEGIN
    IF abs(_day - (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::date) > 1 THEN
        RAISE 'the day of a call is not that of the database''s clock' USING ERRCODE = 'AR003';
    END IF;
    RETURN _day;
END
$$;
COMMENT ON FUNCTION agi_router.admitted_day IS 'Returns the day of a call that is to be admitted; fails where it is more than a day from the database''s clock';
