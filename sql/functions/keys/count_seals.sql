CREATE OR REPLACE FUNCTION agi_router.count_seals(_count bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT nextval('agi_router.seals') FROM generate_series(1, _count)
$$;
COMMENT ON FUNCTION agi_router.count_seals IS 'Counts values that were sealed; nobody waits for anybody';
