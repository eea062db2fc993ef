CREATE OR REPLACE FUNCTION agi_router.write_time(_time timestamptz)
RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT replace(to_char(_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), '.000000+', '+')
$$;
COMMENT ON FUNCTION agi_router.write_time IS 'A time as the HTTP door writes it in an answer';
