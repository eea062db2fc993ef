CREATE OR REPLACE FUNCTION agi_router.delete_holds(_before timestamptz, _limit integer) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Whoever asks: for two years it can be shown what was held; and none goes that holds.
    WITH gone AS (
        DELETE FROM agi_router.hold
         WHERE id = ANY (ARRAY(
               SELECT h.id
                 FROM agi_router.hold h
                WHERE h.released_at < least(_before, now() - interval '730 days')
                ORDER BY h.released_at, h.id
                LIMIT _limit
                  FOR UPDATE SKIP LOCKED))
        RETURNING id
    )
    SELECT coalesce(array_agg(g.id::text ORDER BY g.id), '{}') FROM gone g
$$;
COMMENT ON FUNCTION agi_router.delete_holds IS 'Deletes holds that were released before a time, and more than two years ago; their ids';
REVOKE EXECUTE ON FUNCTION agi_router.delete_holds FROM PUBLIC;
