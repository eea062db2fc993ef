CREATE OR REPLACE FUNCTION agi_router.forget_seen_messages(_limit integer) RETURNS TABLE (rows bigint)
LANGUAGE sql AS $$
    WITH old AS (
        SELECT s.block, s.same
          FROM agi_router.message_seen s
         WHERE s.at < statement_timestamp() - interval '10 minutes'
           -- Whoever asks by HTTP is told ten minutes. A message centre that is away may repeat them when it is back, but not after a day. Links are known where
           -- their texts are.
           AND (s.asked IS NOT NULL OR s.at < statement_timestamp() - interval '1 day'
                OR s.at < (SELECT coalesce(min(l.heard_at), statement_timestamp()) FROM agi_router.message_link l))
         LIMIT _limit
           FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM agi_router.message_seen s USING old o WHERE s.block = o.block AND s.same = o.same
        RETURNING s.block
    )
    SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION agi_router.forget_seen_messages IS 'Forgets requests for texts that nobody repeats any more, so many at most in each cell; how many that were';
