CREATE OR REPLACE FUNCTION agi_router.mark_expired(_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    marked integer;
BEGIN
    WITH over AS (
        SELECT block, id
          FROM agi_router.binding
         WHERE ended_at IS NULL AND expires_at <= now()
         ORDER BY expires_at
         LIMIT _limit
           FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE agi_router.binding b
       SET state = 'expired', ended_at = b.expires_at
      FROM over o
     WHERE b.block = o.block AND b.id = o.id;
    GET DIAGNOSTICS marked = ROW_COUNT;
    RETURN marked;
END
$$;
COMMENT ON FUNCTION agi_router.mark_expired IS 'Marks bindings that the clock has ended, and returns how many; one that somebody holds has its turn later';
