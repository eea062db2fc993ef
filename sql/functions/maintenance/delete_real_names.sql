CREATE OR REPLACE FUNCTION agi_router.delete_real_names(_before timestamptz, _after bigint, _limit integer)
RETURNS TABLE (ids text[], until bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Whoever asks: for two years it can be shown what was known of whom. The walk goes past lines that stand.
    WITH walked AS (
        SELECT n.id, n.person_id, n.tenant_id, n.checked_at
          FROM agi_router.real_name n
         WHERE n.id > _after AND n.added_at < least(_before, now() - interval '730 days')
         ORDER BY n.id
         LIMIT _limit
    ), gone AS (
        DELETE FROM agi_router.real_name r
         USING walked n
         WHERE r.id = n.id
           -- Not by a line that was checked before: where the number has a new owner since, that does not speak.
           AND EXISTS (SELECT 1
                         FROM agi_router.real_name l
                        WHERE l.person_id = n.person_id AND l.tenant_id IS NOT DISTINCT FROM n.tenant_id
                          AND l.id > n.id AND l.checked_at >= n.checked_at
                          AND l.added_at < least(_before, now() - interval '730 days'))
           AND NOT EXISTS (SELECT 1
                             FROM agi_router.person_mark m
                             JOIN agi_router.list_held_keys() k ON k.key = m.tag
                            WHERE m.person_id = n.person_id)
        RETURNING r.id
    )
    SELECT (SELECT coalesce(array_agg(g.id::text ORDER BY g.id), '{}') FROM gone g), (SELECT max(w.id) FROM walked w)
$$;
COMMENT ON FUNCTION agi_router.delete_real_names IS 'Walks along lines of real names, behind one of them, and deletes those that a later one of the same has replaced before a time, and more than two years ago, and that are not held; their ids, and where the walk stands, null: at its end';
REVOKE EXECUTE ON FUNCTION agi_router.delete_real_names FROM PUBLIC;
