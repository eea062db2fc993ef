CREATE OR REPLACE FUNCTION agi_router.minute_of_week(_zone text, _now timestamptz) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT (extract(isodow FROM l.local)::integer - 1) * 1440 + extract(hour FROM l.local)::integer * 60
           + extract(minute FROM l.local)::integer
      FROM (SELECT _now AT TIME ZONE _zone AS local) l
$$;
COMMENT ON FUNCTION agi_router.minute_of_week IS 'The minute of the local week, 0 for Monday 00:00';
