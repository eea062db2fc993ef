CREATE OR REPLACE FUNCTION agi_router.end_locks(_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    _ended bigint[];
BEGIN
    WITH over AS (
        SELECT l.id
          FROM agi_router.lock l
         WHERE l.over_at IS NULL AND l.ends_at <= statement_timestamp()
         ORDER BY l.ends_at
         LIMIT _limit
           FOR NO KEY UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE agi_router.lock l SET over_at = l.ends_at FROM over o WHERE l.id = o.id RETURNING l.id
    )
    SELECT array_agg(e.id ORDER BY e.id) INTO _ended FROM ended e;
    PERFORM agi_router.tell_lock(l, 'lock.lifted') FROM unnest(_ended) l;
    PERFORM agi_router.record_by_itself('lock end', 'lock', _ended, NULL);
    PERFORM agi_router.close_appeals(_ended, NULL);
    DELETE FROM agi_router.lock_mark WHERE lock_id = ANY (_ended);
    RETURN coalesce(cardinality(_ended), 0);
END
$$;
COMMENT ON FUNCTION agi_router.end_locks IS 'Puts locks away whose time is over, tells of it, and returns how many; they have held for nobody since';
