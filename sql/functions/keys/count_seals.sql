CREATE OR REPLACE FUNCTION agi_router.count_seals(_count bigint) RETURNS void
LANGUAGE plpgsql AS $$
-- A query would cost a bind, which has two or three, more than all of them.
DECLARE
    _last bigint;
BEGIN
    FOR _ IN 1 .. _count LOOP
        _last := nextval('agi_router.seals');
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_router.count_seals IS 'Counts values that were sealed; nobody waits for anybody';
