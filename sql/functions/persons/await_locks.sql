CREATE OR REPLACE FUNCTION agi_router.await_locks(_keys bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
-- One of so few places may be that of something else, too; then both wait for nothing. All take them in one order, or
-- they could wait for each other in a circle. A query for it would take a bind twice as long as the locks do.
DECLARE
    _key   bigint;
    _left  bit(64) := 0::bigint::bit(64);
    _place integer;
BEGIN
    -- A transaction of an hour would keep all locks off.
    IF current_setting('agi_router.imports', true) = 'on' THEN
        RETURN;
    END IF;
    FOREACH _key IN ARRAY _keys LOOP
        IF _key IS NOT NULL THEN
            _left := set_bit(_left, (_key & 63)::integer, 1);
        END IF;
    END LOOP;
    LOOP
        _place := position(B'1' IN _left) - 1;
        EXIT WHEN _place < 0;
        CONTINUE WHEN pg_advisory_xact_lock_shared(7002029, _place) IS NULL;
        _left := set_bit(_left, _place, 0);
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_router.await_locks IS 'Waits until locks that are just being set on one of these keys are there, and keeps new ones off until the transaction ends: see agi_router.set_lock. agi_router.imports: a setting of a transaction that does neither';
