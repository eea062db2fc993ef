CREATE OR REPLACE FUNCTION agi_router.delete_old_numbers(_before timestamptz, _limit integer) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Whoever asks: for two years it can be shown what has come in whose place.
    WITH gone AS (
        DELETE FROM agi_router.old_number
         WHERE number = ANY (ARRAY(
               SELECT o.number
                 FROM agi_router.old_number o
                WHERE o.moved_at < least(_before, now() - interval '730 days')
                  AND NOT EXISTS (SELECT 1 FROM agi_router.list_held_keys() k WHERE k.key = o.x_number)
                ORDER BY o.moved_at
                LIMIT _limit
                  FOR UPDATE SKIP LOCKED))
        RETURNING x_number
    )
    SELECT coalesce(array_agg(g.x_number::text ORDER BY g.x_number), '{}') FROM gone g
$$;
COMMENT ON FUNCTION agi_router.delete_old_numbers IS 'Deletes old middle numbers that were moved before a time, and more than two years ago, and whose 700 numbers are not held; the latter';
REVOKE EXECUTE ON FUNCTION agi_router.delete_old_numbers FROM PUBLIC;
