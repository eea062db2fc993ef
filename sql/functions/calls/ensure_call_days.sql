CREATE OR REPLACE FUNCTION agi_router.ensure_call_days(first date, last date)
RETURNS TABLE (day date, why text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
-- A table is made aside and attached: whoever reads or writes call goes on. Only the default partition
-- is locked whole, as PostgreSQL looks in it for rows of the day: so calls whose day has a partition
-- never wait, and others no longer than the limit above.
DECLARE
    -- What is looked through and moved under that lock is some milliseconds' work.
    most_bytes CONSTANT bigint := 4 * 1024 * 1024;
    most_rows  CONSTANT bigint := 1000;
    missing date[];
    crowded date[];
    d date;
    -- Whoever serves may ask: not for tables without end.
    most_days  CONSTANT integer := 31;
    own text;
BEGIN
    IF last >= first + most_days THEN
        RAISE invalid_parameter_value USING MESSAGE = format('partitions are made for at most %s days at once', most_days);
    END IF;
    missing := ARRAY(SELECT g::date
                       FROM generate_series(first, last, interval '1 day') g
                      WHERE to_regclass(format('agi_router.call_%s', to_char(g, 'YYYYMMDD'))) IS NULL);
    IF cardinality(missing) = 0 THEN
        RETURN;
    END IF;
    BEGIN
        -- One makes them at a time. Who comes second need not wait: they are being made.
        IF NOT pg_try_advisory_xact_lock(7002028) THEN
            RAISE lock_not_available;
        END IF;
        -- Whoever had the lock may have made them since.
        missing := ARRAY(SELECT m
                           FROM unnest(missing) m
                          WHERE NOT EXISTS (SELECT 1
                                              FROM pg_class c
                                             WHERE c.relnamespace = 'agi_router'::regnamespace
                                               AND c.relname = format('call_%s', to_char(m, 'YYYYMMDD'))));
        IF cardinality(missing) = 0 THEN
            RETURN;
        END IF;
        FOREACH d IN ARRAY missing LOOP
            EXECUTE format('CREATE TABLE agi_router.call_%s (LIKE agi_router.call INCLUDING ALL)'
                           ' WITH (fillfactor = 85)', to_char(d, 'YYYYMMDD'));
        END LOOP;
        LOCK TABLE ONLY agi_router.call IN SHARE UPDATE EXCLUSIVE MODE;
        LOCK TABLE agi_router.call_other IN ACCESS EXCLUSIVE MODE;
        IF pg_relation_size('agi_router.call_other') > most_bytes THEN
            RAISE program_limit_exceeded;
        END IF;
        crowded := ARRAY(SELECT o.day
                           FROM agi_router.call_other o
                          WHERE o.day = ANY (missing)
                          GROUP BY 1
                         HAVING count(*) > most_rows);
        FOREACH d IN ARRAY missing LOOP
            own := format('agi_router.call_%s', to_char(d, 'YYYYMMDD'));
            IF d = ANY (crowded) THEN
                EXECUTE format('DROP TABLE %s', own);
                CONTINUE;
            END IF;
            -- Rows that came before the partition would bar the day from it for ever.
            EXECUTE format('WITH early AS (DELETE FROM agi_router.call_other WHERE day = %L RETURNING *)'
                           ' INSERT INTO %s SELECT * FROM early', d, own);
            EXECUTE format('ALTER TABLE agi_router.call ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
                           own, d, d + 1);
        END LOOP;
        RETURN QUERY SELECT c, 'crowded' FROM unnest(crowded) c;
    EXCEPTION
        WHEN lock_not_available THEN
            RETURN QUERY SELECT m, 'held' FROM unnest(missing) m;
        WHEN program_limit_exceeded THEN
            RETURN QUERY SELECT m, 'crowded' FROM unnest(missing) m;
    END;
END
$$;
COMMENT ON FUNCTION agi_router.ensure_call_days IS 'Makes the partitions of call for these days, 31 at most, and moves their rows there; returns the days that have none yet. held: somebody has locked the default partition, as a dump does; crowded: it has too many rows to be looked through while calls wait';
REVOKE EXECUTE ON FUNCTION agi_router.ensure_call_days FROM PUBLIC;
