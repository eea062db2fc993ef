CREATE OR REPLACE FUNCTION agi_router.delete_recordings(_before timestamptz, _limit integer) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Whoever asks: for six months it can be heard what was said. The key goes with the row, the file later.
    WITH held AS MATERIALIZED (
        SELECT h.block, h.binding_id FROM agi_router.list_held() h
    ), gone AS (
        DELETE FROM agi_router.recording
         WHERE (block, call_id, day) IN (
               SELECT r.block, r.call_id, r.day
                 FROM agi_router.recording r
                WHERE r.day < (_before AT TIME ZONE 'UTC')::date AND r.day <= agi_router.last_free_day(now())
                  AND NOT EXISTS (SELECT 1 FROM held h WHERE h.block = r.block AND h.binding_id = r.binding_id)
                  AND NOT EXISTS (SELECT 1
                                    FROM agi_router.hold n
                                   WHERE n.released_at IS NULL AND n.x_number = r.x_number)
                ORDER BY r.day, r.call_id
                LIMIT _limit
                  FOR UPDATE SKIP LOCKED)
        RETURNING call_id, name, vault
    ), files AS (
        INSERT INTO agi_router.recording_gone (name, vault)
        SELECT g.name, g.vault FROM gone g WHERE g.name IS NOT NULL AND g.vault IS NOT NULL
            ON CONFLICT DO NOTHING
    )
    SELECT coalesce(array_agg(g.call_id ORDER BY g.call_id), '{}') FROM gone g
$$;
COMMENT ON FUNCTION agi_router.delete_recordings IS 'Deletes recordings of calls before a time, and more than six months ago, that are not held: their keys at once, their files by whoever keeps them; the ids of the calls';
REVOKE EXECUTE ON FUNCTION agi_router.delete_recordings FROM PUBLIC;
