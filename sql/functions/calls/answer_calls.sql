CREATE OR REPLACE FUNCTION agi_router.answer_calls(_block bigint[], _day date, _id text[], _at timestamptz[])
RETURNS void
LANGUAGE plpgsql AS $$
-- The locks are taken in the order of settle: calls, then their bindings. A call that is over is left alone:
-- its settlement has told of its answer.
DECLARE
    answered  text[];
    told      bigint[];
    sequences integer[];
BEGIN
    WITH noted AS (
        UPDATE agi_router.call c
           SET answered_at = n.at
          FROM unnest(_block, _id, _at) n (block, id, at), agi_router.tenant t
         WHERE c.day = _day AND c.block = n.block AND c.id = n.id AND c.state = 'reserved'
           AND c.binding_id IS NOT NULL AND c.answered_at IS NULL
           AND t.id = c.tenant_id AND t.told_of_answers
        RETURNING c.block, c.id, c.binding_id
    ), held AS (
        SELECT b.block, b.id, n.answers
          FROM (SELECT block, binding_id, count(*) AS answers FROM noted GROUP BY 1, 2) n
          JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
         ORDER BY b.block, b.id
           FOR NO KEY UPDATE OF b
    ), counted AS (
        UPDATE agi_router.binding b
           SET sequence = b.sequence + h.answers
          FROM held h
         WHERE b.block = h.block AND b.id = h.id
        RETURNING b.id, b.sequence
    )
    SELECT ARRAY(SELECT CASE WHEN EXISTS (SELECT 1 FROM noted n WHERE n.id = g.id) THEN g.id END
                   FROM unnest(_id) WITH ORDINALITY g (id, place) ORDER BY g.place),
           ARRAY(SELECT c.id FROM counted c ORDER BY c.id),
           ARRAY(SELECT c.sequence FROM counted c ORDER BY c.id)
      INTO answered, told, sequences;
    IF cardinality(told) > 0 THEN
        PERFORM agi_router.tell_calls(_block, _day, NULL, answered, told, sequences);
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.answer_calls IS 'Notes that callees have answered while their calls go on, and tells the tenants that want to hear so; once of each call, however often it is told';
