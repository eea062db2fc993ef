CREATE OR REPLACE FUNCTION agi_router.delete_complaints(_before timestamptz, _limit integer) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Whoever asks: for two years it can be shown who was complained of.
    WITH gone AS (
        DELETE FROM agi_router.complaint
         WHERE id = ANY (ARRAY(
               SELECT c.id
                 FROM agi_router.complaint c
                WHERE c.added_at < least(_before, now() - interval '730 days')
                  AND NOT EXISTS (SELECT 1 FROM agi_router.list_held_keys() k WHERE k.key = c.x_number)
                ORDER BY c.added_at, c.id
                LIMIT _limit
                  FOR UPDATE SKIP LOCKED))
        RETURNING id
    )
    SELECT coalesce(array_agg(g.id::text ORDER BY g.id), '{}') FROM gone g
$$;
COMMENT ON FUNCTION agi_router.delete_complaints IS 'Deletes complaints that came in before a time, and more than two years ago, about numbers that are not held; their ids';
REVOKE EXECUTE ON FUNCTION agi_router.delete_complaints FROM PUBLIC;
