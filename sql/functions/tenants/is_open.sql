CREATE OR REPLACE FUNCTION agi_router.is_open(_hours text, _zone text, _now timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
-- As agi_router/tenants/hours.py. In plpgsql: nothing of it is planned for a call without hours.
DECLARE
    _days   CONSTANT text := 'montuewedthufrisatsun';
    _week   CONSTANT integer := agi_router.minute_of_week(_zone, _now);
    _day    CONSTANT integer := _week / 1440;
    _minute CONSTANT integer := _week % 1440;
BEGIN
    RETURN EXISTS (
        SELECT 1
          FROM (SELECT coalesce((strpos(_days, m.part[1]) - 1) / 3, 0) AS first,
                       coalesce((strpos(_days, coalesce(m.part[2], m.part[1])) - 1) / 3, 6) AS last,
                       m.part[3]::integer * 60 + m.part[4]::integer AS begins,
                       m.part[5]::integer * 60 + m.part[6]::integer AS ends
                  FROM regexp_matches(
                       _hours, '(?:([a-z]{3})(?:-([a-z]{3}))? )?(\d\d):(\d\d)-(\d\d):(\d\d)', 'g') m (part)) w
         WHERE CASE WHEN w.begins < w.ends
                    THEN (_day - w.first + 7) % 7 <= (w.last - w.first + 7) % 7
                         AND w.begins <= _minute AND _minute < w.ends
                    ELSE (_day - w.first + 7) % 7 <= (w.last - w.first + 7) % 7 AND _minute >= w.begins
                         OR (_day - w.first + 13) % 7 <= (w.last - w.first + 7) % 7 AND _minute < w.ends END);
END
$$;
COMMENT ON FUNCTION agi_router.is_open IS 'Whether a time lies in these hours of the week in a time zone';
