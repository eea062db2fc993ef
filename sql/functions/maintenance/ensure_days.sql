CREATE OR REPLACE FUNCTION agi_router.ensure_days(parent text, first date, last date)
RETURNS TABLE (day date, why text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
-- A table is made aside and attached: whoever reads or writes the others goes on. Only the default partition
-- is locked whole, as PostgreSQL looks in it for rows of the day: so rows whose day has a partition
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
    other CONSTANT text := format('agi_router.%I', parent || '_other');
BEGIN
    IF parent NOT IN ('call', 'event', 'message') THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s has no days', parent);
    END IF;
    IF last >= first + most_days THEN
        RAISE invalid_parameter_value USING MESSAGE = format('partitions are made for at most %s days at once', most_days);
    END IF;
    missing := ARRAY(SELECT g::date
                       FROM generate_series(first, last, interval '1 day') g
                      WHERE to_regclass(format('agi_router.%I', parent || to_char(g, '_YYYYMMDD'))) IS NULL);
    IF cardinality(missing) = 0
       -- Before cells: its rows are there, and so are the days.
       OR NOT (SELECT c.relispartition FROM pg_class c WHERE c.oid = other::regclass) THEN
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
                                               AND c.relname = parent || to_char(m, '_YYYYMMDD')));
        IF cardinality(missing) = 0 THEN
            RETURN;
        END IF;
        FOREACH d IN ARRAY missing LOOP
            EXECUTE format('CREATE TABLE agi_router.%I (LIKE agi_router.%I INCLUDING ALL) WITH (fillfactor = %s)',
                           parent || to_char(d, '_YYYYMMDD'), parent, CASE parent WHEN 'call' THEN 85 WHEN 'message' THEN 60 ELSE 100 END);
        END LOOP;
        EXECUTE format('LOCK TABLE ONLY agi_router.%I IN SHARE UPDATE EXCLUSIVE MODE', parent);
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', other);
        IF pg_relation_size(other) > most_bytes THEN
            RAISE program_limit_exceeded;
        END IF;
        EXECUTE format('SELECT array_agg(o.day)'
                       '  FROM (SELECT day FROM %s WHERE day = ANY ($1) GROUP BY 1 HAVING count(*) > $2) o', other)
           INTO crowded
          USING missing, most_rows;
        crowded := coalesce(crowded, '{}');
        FOREACH d IN ARRAY missing LOOP
            own := format('agi_router.%I', parent || to_char(d, '_YYYYMMDD'));
            IF d = ANY (crowded) THEN
                EXECUTE format('DROP TABLE %s', own);
                CONTINUE;
            END IF;
            -- Rows that came before the partition would bar the day from it for ever.
            EXECUTE format('WITH early AS (DELETE FROM %s WHERE day = %L RETURNING *) INSERT INTO %s SELECT * FROM early',
                           other, d, own);
            EXECUTE format('ALTER TABLE agi_router.%I ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
                           parent, own, d, d + 1);
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
COMMENT ON FUNCTION agi_router.ensure_days IS 'Makes the partitions of a table, call, event or message, for these days, 31 at most, and moves their rows there; returns the days that have none yet. held: somebody has locked the default partition, as a dump does; crowded: it has too many rows to be looked through while calls wait';
REVOKE EXECUTE ON FUNCTION agi_router.ensure_days FROM PUBLIC;
