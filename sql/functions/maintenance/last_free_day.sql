CREATE OR REPLACE FUNCTION agi_router.last_free_day(_at timestamptz) RETURNS date
LANGUAGE sql STABLE AS $$
    SELECT (_at AT TIME ZONE 'UTC')::date - 184
$$;
COMMENT ON FUNCTION agi_router.last_free_day IS 'The last day (UTC) of which the law lets calls, texts, events and recordings be deleted at a time: six months before, as agi_router/maintenance/classes.py has it';
