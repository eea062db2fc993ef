CREATE OR REPLACE FUNCTION agi_router.delete_locks(_before timestamptz, _limit integer) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Whoever asks: for two years it can be shown who was locked.
    WITH gone AS (
        DELETE FROM agi_router.lock
         WHERE id = ANY (ARRAY(
               SELECT l.id
                 FROM agi_router.lock l
                WHERE l.over_at < least(_before, now() - interval '730 days')
                  AND NOT EXISTS (SELECT 1 FROM agi_router.list_held_keys() k WHERE k.key = l.key)
                ORDER BY l.over_at
                LIMIT _limit
                  FOR UPDATE SKIP LOCKED))
        RETURNING id
    )
    SELECT coalesce(array_agg(g.id::text ORDER BY g.id), '{}') FROM gone g
$$;
COMMENT ON FUNCTION agi_router.delete_locks IS 'Deletes locks that were over before a time, and more than two years ago, and are not held, with their appeals; their ids';
REVOKE EXECUTE ON FUNCTION agi_router.delete_locks FROM PUBLIC;
