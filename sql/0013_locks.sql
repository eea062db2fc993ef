-- Nobody's upkeep makes a call wait, what day a call may have is bounded, and a role that owns
-- nothing can serve.
--
-- The functions that make and drop days run with the rights of the schema's owner, so that the
-- service needs no right to create. What they name is named in full, and they look nowhere else.
-- They look at the server's own clock: what they do cannot be brought about by another one.

CREATE FUNCTION agi_router.admitted_day(_day date) RETURNS date
LANGUAGE plpgsql AS $$
BEGIN
    IF abs(_day - (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::date) > 1 THEN
        RAISE 'the day of a call is not that of the database''s clock' USING ERRCODE = 'AR003';
    END IF;
    RETURN _day;
END
$$;
COMMENT ON FUNCTION agi_router.admitted_day IS 'Returns the day of a call that is to be admitted; fails where it is more than a day from the database''s clock';

CREATE FUNCTION agi_router.settled_day(_day date) RETURNS boolean
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

DROP FUNCTION agi_router.ensure_call_days;
CREATE FUNCTION agi_router.ensure_call_days(first date, last date)
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
                          WHERE NOT EXISTS (SELECT
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

REVOKE EXECUTE ON FUNCTION agi_router.ensure_call_days, agi_router.drop_call_day FROM PUBLIC;

CREATE FUNCTION agi_router.grant_right(_role name, _kind text, _name text, _privilege text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT %s ON %s %s TO %I', _privilege, _kind, _name, _role);
END
$$;
COMMENT ON FUNCTION agi_router.grant_right IS 'Gives a role one of the rights that list_rights of sql/queries.sql names; with the rights of whoever asks';
REVOKE EXECUTE ON FUNCTION agi_router.grant_right FROM PUBLIC;

-- As before, but for the lock: it is on bindings that must not be on the number, and no longer on those
-- of AXE beside another one of AXE, which live on: an import holds it to its end, and their calls waited.
CREATE OR REPLACE FUNCTION agi_router.check_alone() RETURNS trigger
-- Without statistics the planner would look for such bindings by reading all.
LANGUAGE plpgsql SET enable_seqscan = off AS $$
-- Nobody may be on an X of AX, and on one of AXE only others of AXE. Whoever adds routes holds the
-- block by its foreign key; a binding that strangers may call takes it whole, so that none of them
-- can miss the other. Without such bindings this is one look into an empty index.
BEGIN
    IF NOT EXISTS (SELECT FROM agi_router.binding WHERE open_number IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    PERFORM
       FROM agi_router.block k
      WHERE k.block IN (SELECT n.block
                          FROM fresh n
                          JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                         WHERE b.open_number IS NOT NULL)
      ORDER BY k.block
        FOR UPDATE;
    IF FOUND THEN
        -- One that is about to expire may just be extended: wait for it.
        PERFORM
           FROM agi_router.binding p
          WHERE (p.block, p.id) IN (SELECT o.block, o.binding_id
                                      FROM fresh n
                                      JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                                      JOIN agi_router.route o ON o.block = n.block AND o.x_number = n.x_number
                                      JOIN agi_router.binding q ON q.block = o.block AND q.id = o.binding_id
                                     WHERE NOT (q.mode = 'axe' AND b.mode = 'axe'))
            AND p.ended_at IS NULL
          ORDER BY p.block, p.id
            FOR NO KEY UPDATE;
    END IF;
    IF EXISTS (SELECT
                 FROM fresh n
                 JOIN agi_router.binding p ON p.block = n.block AND p.open_number = n.x_number AND p.id <> n.binding_id
                 JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                WHERE p.ended_at IS NULL AND p.expires_at > clock_timestamp()
                  AND NOT (p.mode = 'axe' AND b.mode = 'axe'))
       OR EXISTS (SELECT
                    FROM fresh n
                    JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                    JOIN agi_router.route o
                      ON o.block = n.block AND o.x_number = n.x_number AND o.binding_id <> n.binding_id
                    JOIN agi_router.binding p ON p.block = o.block AND p.id = o.binding_id
                   WHERE b.open_number IS NOT NULL
                     AND p.ended_at IS NULL AND p.expires_at > clock_timestamp()
                     AND NOT (p.mode = 'axe' AND b.mode = 'axe')) THEN
        RAISE unique_violation USING
            MESSAGE = 'a number that strangers may call is shared with nobody', CONSTRAINT = 'route_alone';
    END IF;
    RETURN NULL;
END
$$;
