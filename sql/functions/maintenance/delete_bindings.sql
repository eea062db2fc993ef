CREATE OR REPLACE FUNCTION agi_router.delete_bindings(_block bigint, _after bigint, _before timestamptz, _limit integer)
RETURNS TABLE (ids text[], until bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Whoever asks: for six months it can be shown who was bound.
    WITH held AS MATERIALIZED (
        SELECT h.binding_id FROM agi_router.list_held() h WHERE h.block = _block
    ), walked AS (
        SELECT id, begins_at, ended_at
          FROM agi_router.binding
         WHERE block = _block AND id > _after
         ORDER BY block, id
         LIMIT _limit
    ), old AS (
        SELECT b.id
          FROM agi_router.binding b
          JOIN walked w ON w.id = b.id
         WHERE b.block = _block
           AND b.ended_at < least(_before, (agi_router.last_free_day(now()) + 1)::timestamp AT TIME ZONE 'UTC')
           AND NOT EXISTS (SELECT 1 FROM held h WHERE h.binding_id = b.id)
           -- A child goes with its parent, which ends no earlier.
           AND b.parent_id IS NULL
           -- While a route is where calls find it, its binding stays.
           AND NOT EXISTS (SELECT 1 FROM agi_router.route r WHERE r.block = b.block AND r.binding_id = b.id)
           -- A child has ended with it, and has neither routes nor children. A row that is tied to it otherwise is of a
           -- writer's making: both stay, and the walk goes on.
           AND NOT EXISTS (
               SELECT 1
                 FROM agi_router.binding c
                WHERE c.block = b.block AND c.parent_id = b.id
                  AND (c.ended_at IS NULL
                       OR EXISTS (SELECT 1 FROM held h WHERE h.binding_id = c.id)
                       OR EXISTS (SELECT 1 FROM agi_router.route r WHERE r.block = c.block AND r.binding_id = c.id)
                       OR EXISTS (SELECT 1 FROM agi_router.route r WHERE r.block = c.block AND r.child_id = c.id)
                       OR EXISTS (SELECT 1 FROM agi_router.past_route p WHERE p.block = c.block AND p.binding_id = c.id)
                       OR EXISTS (SELECT 1 FROM agi_router.binding g WHERE g.block = c.block AND g.parent_id = c.id)))
           FOR UPDATE OF b SKIP LOCKED
    ), past AS (
        DELETE FROM agi_router.past_route p USING old o WHERE p.block = _block AND p.binding_id = o.id
    ), gone AS (
        DELETE FROM agi_router.binding b
         USING old o
         WHERE b.block = _block AND o.id IN (b.id, b.parent_id)
        RETURNING b.block, b.id
    )
    SELECT (SELECT coalesce(array_agg(g.block || '-' || g.id ORDER BY g.id), '{}') FROM gone g),
           (SELECT max(id) FROM walked WHERE begins_at < _before)
$$;
COMMENT ON FUNCTION agi_router.delete_bindings IS 'Walks along a block''s bindings, behind one of them, and deletes those that had ended before a time, and more than six months ago, with their routes, if they are not held; their names, and where the walk stands, null: nothing further was made before that time';
REVOKE EXECUTE ON FUNCTION agi_router.delete_bindings FROM PUBLIC;
