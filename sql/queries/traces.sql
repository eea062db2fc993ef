-- Who was behind a 700 number, or where a person was bound, at some time.

-- list_bound_on_number --
-- Bindings that somebody dialled a number for in a time.
SELECT r.block, r.binding_id AS id
  FROM agi_router.route r
 WHERE r.block = %(block)s AND r.x_number = %(x_number)s
   AND r.ends_at > %(since)s AND r.begins_at < %(until)s
 UNION
SELECT p.block, p.binding_id
  FROM agi_router.past_route p
 WHERE p.block = %(block)s AND p.x_number = %(x_number)s
   AND p.ends_at > %(since)s AND p.begins_at < %(until)s;

-- list_bound_of_person --
-- Bindings of which somebody of one of these tags was a party in a time, or was rung.
SELECT r.block, r.binding_id AS id
  FROM agi_router.route r
 WHERE r.caller_tag = ANY (%(tags)s) AND r.ends_at > %(since)s AND r.begins_at < %(until)s
 UNION
SELECT r.block, r.binding_id
  FROM agi_router.route r
 WHERE r.callee_tags[1] = ANY (%(tags)s) AND r.caller IS NOT NULL
   AND r.ends_at > %(since)s AND r.begins_at < %(until)s
 UNION
SELECT p.block, p.binding_id
  FROM agi_router.past_route p
 WHERE p.caller_tag = ANY (%(tags)s) AND p.ends_at > %(since)s AND p.begins_at < %(until)s
 UNION
SELECT p.block, p.binding_id
  FROM agi_router.past_route p
 WHERE p.callee_tags[1] = ANY (%(tags)s) AND p.caller IS NOT NULL
   AND p.ends_at > %(since)s AND p.begins_at < %(until)s;

-- list_traced --
-- Some bindings, the earliest first, with the times at which their parties may have changed.
SELECT b.block, b.id, b.mode, b.state, b.begins_at, b.expires_at, b.ended_at, b.order_id, t.name AS tenant,
       now() AS now, b.moments
  FROM agi_router.list_traced(%(blocks)s::bigint[], %(ids)s::bigint[]) b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 ORDER BY b.begins_at, b.block, b.id
 LIMIT %(limit)s;

-- list_traced_calls --
-- Calls of a time, newest first: to a number, or by some bindings that showed it. Calls of days that are deleted, too,
-- as far as they are held; one of a day that is just being deleted may stand there twice. All are found by the numbers
-- that were dialled: call_number has those that have ended, call_reserved the few others. There is no other state: it
-- is said for these indexes.
WITH number AS MATERIALIZED (
    SELECT r.x_number
      FROM unnest(%(blocks)s::bigint[], %(bindings)s::bigint[]) n (block, id)
      JOIN agi_router.route r ON r.block = n.block AND r.binding_id = n.id
     UNION
    SELECT p.x_number
      FROM unnest(%(blocks)s::bigint[], %(bindings)s::bigint[]) n (block, id)
      JOIN agi_router.past_route p ON p.block = n.block AND p.binding_id = n.id
     UNION
    SELECT %(x_number)s::bigint
), found AS (
    SELECT c.*
      FROM agi_router.call c
     WHERE (c.state = 'settled' OR c.state = 'reserved') AND c.x_number = ANY (ARRAY(SELECT x_number FROM number))
       AND c.received_at >= %(since)s::timestamptz AND c.received_at < %(until)s::timestamptz
       AND c.day BETWEEN (%(since)s AT TIME ZONE 'UTC')::date - 1 AND (%(until)s AT TIME ZONE 'UTC')::date + 1
     UNION ALL
    SELECT c.*
      FROM agi_router.kept_call c
     WHERE c.x_number = ANY (ARRAY(SELECT x_number FROM number))
       AND c.received_at >= %(since)s::timestamptz AND c.received_at < %(until)s::timestamptz
)
SELECT c.block, c.id, t.name AS tenant, c.x_number, c.binding_id, c.shown, c.side, c.received_at, c.answered_at,
       c.ended_at, c.ring_ms, c.talk_ms, c.state, c.reason, c.outcome, c.released_by, c.cause,
       c.sip_status, c.clock, c.cut, c.check_id, c.check_verdict, c.check_ms, c.tenant_check_id,
       c.tenant_check_verdict, c.tenant_check_ms,
       CASE WHEN c.record THEN agi_router.recording_state(c.id, c.day, c.block, c.state, c.talk_ms) END AS recording
  FROM found c
  LEFT JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE c.x_number = %(x_number)s
    OR c.shown = %(x_number)s
       AND (c.block, c.binding_id) IN (
           SELECT n.block, n.id FROM unnest(%(blocks)s::bigint[], %(bindings)s::bigint[]) n (block, id))
 ORDER BY c.received_at DESC, c.id DESC
 LIMIT %(limit)s;

-- list_calls_of_traced --
-- The same of calls by some bindings, whatever they showed. Of each binding those days alone are looked at in which
-- it lived, and one before and behind, for clocks.
WITH lived AS MATERIALIZED (
    SELECT b.block, b.id, (b.begins_at AT TIME ZONE 'UTC')::date - 1 AS first,
           (least(b.expires_at, b.ended_at) AT TIME ZONE 'UTC')::date + 1 AS last
      FROM unnest(%(blocks)s::bigint[], %(bindings)s::bigint[]) n (block, id)
      JOIN agi_router.binding b ON b.block = n.block AND b.id = n.id
), number AS MATERIALIZED (
    SELECT l.*, r.x_number
      FROM lived l
      JOIN agi_router.route r ON r.block = l.block AND r.binding_id = l.id
     UNION
    SELECT l.*, p.x_number
      FROM lived l
      JOIN agi_router.past_route p ON p.block = l.block AND p.binding_id = l.id
), found AS (
    SELECT c.*
      FROM number n
     -- One after the other: so days in which it did not live are left out.
     CROSS JOIN LATERAL (
           SELECT c.*
             FROM agi_router.call c
            WHERE (c.state = 'settled' OR c.state = 'reserved') AND c.x_number = n.x_number
              AND c.day BETWEEN n.first AND n.last
              AND c.received_at >= %(since)s::timestamptz AND c.received_at < %(until)s::timestamptz
              AND c.day BETWEEN (%(since)s AT TIME ZONE 'UTC')::date - 1 AND (%(until)s AT TIME ZONE 'UTC')::date + 1
           OFFSET 0) c
     WHERE c.block = n.block AND c.binding_id = n.id
     UNION ALL
    SELECT c.*
      FROM agi_router.kept_call c
      JOIN number n ON n.x_number = c.x_number AND n.block = c.block AND n.id = c.binding_id
     WHERE c.received_at >= %(since)s::timestamptz AND c.received_at < %(until)s::timestamptz
)
SELECT c.block, c.id, t.name AS tenant, c.x_number, c.binding_id, c.shown, c.side, c.received_at, c.answered_at,
       c.ended_at, c.ring_ms, c.talk_ms, c.state, c.reason, c.outcome, c.released_by, c.cause,
       c.sip_status, c.clock, c.cut, c.check_id, c.check_verdict, c.check_ms, c.tenant_check_id,
       c.tenant_check_verdict, c.tenant_check_ms,
       CASE WHEN c.record THEN agi_router.recording_state(c.id, c.day, c.block, c.state, c.talk_ms) END AS recording
  FROM found c
  LEFT JOIN agi_router.tenant t ON t.id = c.tenant_id
 ORDER BY c.received_at DESC, c.id DESC
 LIMIT %(limit)s;

-- list_traced_messages --
-- The same of texts; refused ones have no record.
WITH found AS (
    SELECT m.*
      FROM unnest(%(blocks)s::bigint[], %(bindings)s::bigint[]) n (block, id)
      JOIN agi_router.message m ON m.block = n.block AND m.binding_id = n.id
     WHERE m.received_at >= %(since)s::timestamptz AND m.received_at < %(until)s::timestamptz
       AND m.day BETWEEN (%(since)s AT TIME ZONE 'UTC')::date - 1 AND (%(until)s AT TIME ZONE 'UTC')::date + 1
     UNION ALL
    SELECT m.*
      FROM unnest(%(blocks)s::bigint[], %(bindings)s::bigint[]) n (block, id)
      JOIN agi_router.kept_message m ON m.block = n.block AND m.binding_id = n.id
     WHERE m.received_at >= %(since)s::timestamptz AND m.received_at < %(until)s::timestamptz
)
SELECT m.id, m.block, m.x_number, m.binding_id, t.name AS tenant, m.side, m.shown, m.octets, m.parts, m.received_at,
       m.expires_at, m.state, m.reason, m.status, coalesce(o.attempts, m.attempts) AS attempts,
       coalesce(o.maybe_twice, m.maybe_twice) AS maybe_twice, m.done_at, m.check_id, m.check_verdict, m.check_ms,
       m.tenant_check_id, m.tenant_check_verdict, m.tenant_check_ms
  FROM found m
  JOIN agi_router.tenant t ON t.id = m.tenant_id
  LEFT JOIN agi_router.message_out o ON o.block = m.block AND o.id = m.id
 WHERE %(x_number)s::bigint IS NULL OR %(x_number)s IN (m.x_number, m.shown)
 ORDER BY m.received_at DESC, m.id DESC
 LIMIT %(limit)s;
