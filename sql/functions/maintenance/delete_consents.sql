CREATE OR REPLACE FUNCTION agi_router.delete_consents(_before timestamptz, _limit integer) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Whoever asks: for two years it can be shown who had agreed to what, and when that ended. Of a withdrawal
    -- that is for one order a line for all may stand: it would count again.
    WITH old AS (
        SELECT w.id, w.tenant_id, w.person_id, w.purpose, w.order_id
          FROM agi_router.consent w
         WHERE w.act = 'withdrawn' AND w.added_at < least(_before, now() - interval '730 days')
           AND NOT EXISTS (SELECT 1
                             FROM agi_router.person_mark m
                             JOIN agi_router.list_held_keys() k ON k.key = m.tag
                            WHERE m.person_id = w.person_id)
    ), given AS (
        SELECT g.id
          FROM old w
          JOIN agi_router.consent g
            ON g.person_id = w.person_id AND g.tenant_id = w.tenant_id AND g.purpose = w.purpose AND g.id < w.id
           AND g.act = 'given' AND (w.order_id IS NULL OR g.order_id = w.order_id)
    ), bare AS (
        SELECT w.id
          FROM old w
         WHERE NOT EXISTS (SELECT 1
                             FROM agi_router.consent g
                            WHERE g.person_id = w.person_id AND g.tenant_id = w.tenant_id
                              AND g.purpose = w.purpose AND g.id < w.id AND g.act = 'given'
                              AND (w.order_id IS NULL OR g.order_id IS NULL OR g.order_id = w.order_id))
    ), gone AS (
        DELETE FROM agi_router.consent c
         WHERE c.id IN (SELECT o.id FROM (SELECT id FROM given UNION SELECT id FROM bare) o ORDER BY o.id LIMIT _limit)
        RETURNING c.id
    )
    SELECT coalesce(array_agg(g.id::text ORDER BY g.id), '{}') FROM gone g
$$;
COMMENT ON FUNCTION agi_router.delete_consents IS 'Deletes lines of the consent ledger that were withdrawn before a time, and more than two years ago, and are not held; their ids';
REVOKE EXECUTE ON FUNCTION agi_router.delete_consents FROM PUBLIC;
