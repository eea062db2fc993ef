CREATE OR REPLACE FUNCTION agi_router.settle(
    _block bigint[], _day date, _id text[], _x_number bigint[], _ended_at timestamptz[], _reason text[],
    _outcome text[], _ring_ms integer[], _talk_ms integer[], _released_by text[], _cause integer[],
    _sip_status integer[], _clock text[], _kept boolean[])
RETURNS TABLE (call_id text, known boolean)
LANGUAGE plpgsql AS $$
-- Bindings are locked in one order for all, and before the places of new calls, as an admission does:
-- else they would wait for each other in a circle. Where no tenant is told of ends, events cost nothing.
DECLARE
    tellers CONSTANT integer[] := ARRAY(SELECT t.id FROM agi_router.tenant t WHERE t.told_of_ends);
    listeners CONSTANT integer[] := ARRAY(SELECT t.id FROM agi_router.tenant t WHERE t.told_of_ends AND t.told_of_answers);
    missed    text[];
    answered  text[];
    told      bigint[];
    sequences integer[];
BEGIN
    WITH ended AS (
        SELECT *
          FROM unnest(_block, _id, _x_number,
                      _ended_at, _reason, _outcome,
                      _ring_ms, _talk_ms, _released_by,
                      _cause, _sip_status, _clock, _kept)
            AS e (block, id, x_number, ended_at, reason, outcome, ring_ms, talk_ms, released_by, cause,
                  sip_status, clock, kept)
    ), settled AS (
        UPDATE agi_router.call c
           SET state = 'settled', ended_at = e.ended_at, reason = e.reason, outcome = e.outcome,
               ring_ms = e.ring_ms, talk_ms = e.talk_ms, released_by = e.released_by, cause = e.cause,
               sip_status = e.sip_status, clock = e.clock,
               -- Who hung up in the same moment was first.
               cut = CASE WHEN e.released_by = 'us' AND e.clock IS NULL THEN c.cut END
          FROM ended e
         WHERE c.day = _day AND c.block = e.block AND c.id = e.id AND c.state = 'reserved'
        -- Where nobody saw the end an answer may have been told.
        RETURNING c.block, c.id, c.binding_id, c.outcome, coalesce(e.kept, c.answered_at IS NOT NULL) AS kept,
                  -- Who wants to hear of answers hears of this one now, if nothing has told of it before.
                  c.outcome = 'answered' AND c.answered_at IS NULL AND c.tenant_id = ANY (listeners) AS unheard
    ), used AS (
        -- Where no leg was dialled nothing was used, whatever the binding counts; where nobody saw the end it
        -- was told whether it counts.
        SELECT s.block, s.binding_id, count(*) AS taken,
               count(*) FILTER (WHERE s.outcome IS NOT NULL OR s.kept) AS dialled,
               count(*) FILTER (WHERE s.outcome = 'answered' OR s.kept) AS answered,
               count(*) FILTER (WHERE s.unheard) AS unheard
          FROM settled s
         WHERE s.binding_id IS NOT NULL
         GROUP BY 1, 2
    ), held AS (
        -- Where all was answered and there is no limit, nothing changes.
        SELECT b.block, b.id, u.taken, u.unheard, b.tenant_id = ANY (tellers) AS told,
               CASE b.counting WHEN 'answered' THEN u.answered ELSE u.dialled END AS kept
          FROM used u
          JOIN agi_router.binding b ON b.block = u.block AND b.id = u.binding_id
         WHERE u.answered < u.taken OR b.max_calls IS NOT NULL OR b.tenant_id = ANY (tellers)
         ORDER BY b.block, b.id
           FOR NO KEY UPDATE OF b
    ), given_back AS (
        -- Once the last use will not come back the binding is over, unless something else ended it before.
        -- Within bounds: counts that somebody has altered must not keep other calls from being settled.
        UPDATE agi_router.binding b
           SET calls_used = greatest(0, b.calls_used - (h.taken - h.kept)),
               sequence = CASE WHEN h.told THEN b.sequence + h.taken + h.unheard ELSE b.sequence END,
               calls_settled = CASE WHEN b.max_calls IS NULL THEN b.calls_settled
                                    ELSE greatest(0, least(b.calls_settled + h.kept, b.max_calls)) END,
               state = CASE WHEN b.ended_at IS NULL AND b.expires_at > now()
                             AND b.calls_settled + h.kept >= b.max_calls THEN 'used_up' ELSE b.state END,
               ended_at = CASE WHEN b.ended_at IS NULL AND b.expires_at > now()
                                AND b.calls_settled + h.kept >= b.max_calls THEN now() ELSE b.ended_at END
          FROM held h
         WHERE b.block = h.block AND b.id = h.id AND (h.kept < h.taken OR b.max_calls IS NOT NULL OR h.told)
        RETURNING b.block, b.id, b.sequence, h.told
    ), inserted AS (
        INSERT INTO agi_router.call (block, id, day, x_number, tenant_id, received_at, ended_at, state,
                                     reason, outcome, ring_ms, talk_ms, released_by, cause, sip_status, clock)
        -- A call that was refused came in the second that its id tells; it ended when its prompt was over.
        -- One to an old number is of the tenant that has moved it, as long as that is one alone.
        SELECT e.block, e.id, _day, e.x_number,
               coalesce(CASE WHEN e.reason IN ('number_changed', 'number_retired')
                             THEN (SELECT min(o.tenant_id) FROM agi_router.old_number o WHERE o.x_number = e.x_number
                                   HAVING min(o.tenant_id) = max(o.tenant_id)) END,
                        (SELECT k.tenant_id FROM agi_router.block k WHERE k.block = e.block)),
               least(e.ended_at, to_timestamp(substring(e.id FROM '([0-9]+)[.][0-9]+$')::bigint)),
               e.ended_at, 'settled', e.reason,
               e.outcome, e.ring_ms, e.talk_ms, e.released_by, e.cause, e.sip_status, e.clock
          FROM ended e
         WHERE (SELECT count(*) FROM held) >= 0
           AND agi_router.settled_day(_day)
           AND NOT EXISTS (SELECT 1 FROM agi_router.call c
                            WHERE c.day = _day AND c.block = e.block AND c.id = e.id)
         ORDER BY e.block, e.id
            ON CONFLICT DO NOTHING
        RETURNING block, id
    )
    SELECT ARRAY(SELECT m.id
                   FROM (SELECT e.block, e.id FROM ended e
                         EXCEPT SELECT s.block, s.id FROM settled s
                         EXCEPT SELECT i.block, i.id FROM inserted i) m),
           CASE WHEN cardinality(listeners) > 0
                THEN ARRAY(SELECT s.id FROM settled s WHERE s.unheard) END,
           ARRAY(SELECT g.id FROM given_back g WHERE g.told),
           ARRAY(SELECT g.sequence FROM given_back g WHERE g.told)
      INTO missed, answered, told, sequences;
    IF cardinality(tellers) > 0 THEN
        PERFORM agi_router.tell_calls(
            _block, _day, ARRAY(SELECT CASE WHEN n.id <> ALL (missed) THEN n.id END FROM unnest(_id) n (id)),
            CASE WHEN cardinality(answered) > 0
                 THEN ARRAY(SELECT CASE WHEN n.id = ANY (answered) THEN n.id END FROM unnest(_id) n (id)) END,
            told, sequences);
    END IF;
    IF cardinality(missed) > 0 THEN
        RETURN QUERY
        SELECT e.id, EXISTS (SELECT 1 FROM agi_router.call c
                              WHERE c.day = _day AND c.block = e.block AND c.id = e.id)
          FROM unnest(_block, _id) e (block, id)
         WHERE e.id = ANY (missed);
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.settle IS 'Settles a batch of ended calls of one day; returns the ids it neither settled nor inserted, and whether there is such a call: if not, it came at this moment, or no call may have that day';
