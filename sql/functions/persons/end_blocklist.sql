CREATE OR REPLACE FUNCTION agi_router.end_blocklist(_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    _ended bigint[];
BEGIN
    WITH over AS (
        SELECT e.id
          FROM agi_router.blocklist e
         WHERE e.over_at IS NULL AND e.ends_at <= statement_timestamp()
         ORDER BY e.ends_at
         LIMIT _limit
           FOR NO KEY UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE agi_router.blocklist e SET over_at = e.ends_at FROM over o WHERE e.id = o.id RETURNING e.id
    )
    SELECT array_agg(e.id ORDER BY e.id) INTO _ended FROM ended e;
    DELETE FROM agi_router.lock_mark WHERE lock_id = ANY (_ended);
    PERFORM agi_router.tell_blocklist(e, 'blocklist.removed') FROM unnest(_ended) e;
    RETURN coalesce(cardinality(_ended), 0);
END
$$;
COMMENT ON FUNCTION agi_router.end_blocklist IS 'Puts entries of block lists away whose time is over, tells of it, and returns how many; they have held for nobody since';
