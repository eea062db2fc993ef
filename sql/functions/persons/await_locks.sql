CREATE OR REPLACE FUNCTION agi_router.await_locks(_keys bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
-- One of so few places may be that of something else, too; then both wait for nothing.
BEGIN
    -- A transaction of an hour would keep all locks off.
    IF current_setting('agi_router.imports', true) = 'on' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7002029, place)
       FROM (SELECT DISTINCT (k & 63)::integer AS place
               FROM unnest(_keys) k
              WHERE k IS NOT NULL
              ORDER BY 1) p;
END
$$;
COMMENT ON FUNCTION agi_router.await_locks IS 'Waits until locks that are just being set on one of these keys are there, and keeps new ones off until the transaction ends: see agi_router.set_lock. agi_router.imports: a setting of a transaction that does neither';
