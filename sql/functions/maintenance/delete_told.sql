CREATE OR REPLACE FUNCTION agi_router.delete_told(_before timestamptz) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Whoever asks: for two years it can be shown what a feed has told.
    WITH old AS (
        SELECT r.id
          FROM agi_router.feed_run r
         WHERE r.begun_at < least(_before, now() - interval '730 days')
           AND (EXISTS (SELECT 1 FROM agi_router.feed_fault f WHERE f.run_id = r.id)
                OR EXISTS (SELECT 1
                             FROM agi_router.feed_match m
                            WHERE m.run_id = r.id
                              AND NOT EXISTS (SELECT 1
                                                FROM agi_router.list_held() h
                                               WHERE h.block = m.block AND h.binding_id = m.binding_id)))
         ORDER BY r.begun_at
         LIMIT 1
    ), faults AS (
        DELETE FROM agi_router.feed_fault f USING old o WHERE f.run_id = o.id
    ), matches AS (
        DELETE FROM agi_router.feed_match m
         USING old o
         WHERE m.run_id = o.id
           AND NOT EXISTS (SELECT 1
                             FROM agi_router.list_held() h
                            WHERE h.block = m.block AND h.binding_id = m.binding_id)
    )
    SELECT coalesce(array_agg(o.id::text), '{}') FROM old o
$$;
COMMENT ON FUNCTION agi_router.delete_told IS 'Deletes what the oldest run of a feed has told that was begun before a time, and more than two years ago, but for what is held; its id';
REVOKE EXECUTE ON FUNCTION agi_router.delete_told FROM PUBLIC;
