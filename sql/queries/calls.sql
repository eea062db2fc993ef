-- Calls: admitting, settling, looking them up; and the Asterisks that name them.

-- admit --
-- Take one use and write the call as reserved if every guard holds; the facts either way.
SELECT * FROM agi_router.admit(
    %(block)s, %(x_number)s, %(tags)s, %(call_id)s, agi_router.admitted_day(%(day)s));

-- find_facts --
-- The facts at a time, nothing taken: now, unless another time is given.
SELECT * FROM agi_router.find_facts(
    %(block)s, %(x_number)s, %(tags)s, coalesce(%(at)s, clock_timestamp()));

-- find_reservation --
-- The stored decision of a call that was admitted before and is not over; no row once it is.
SELECT true AS admitted, c.received_at AS now, true AS block_known, true AS certificate_valid,
       true AS x_bound, false AS x_extended, b.id AS binding_id, b.mode, r.side, r.caller_tag,
       r.callee, r.last_callee, r.last_at, r.shown, least(h.ended_at, h.expires_at) AS child_until,
       b.state, b.direction, b.begins_at, b.expires_at, b.ended_at, b.max_calls,
       b.calls_used - 1 AS calls_used, b.callback, b.callback_window,
       CASE r.side WHEN 'a' THEN b.display_b ELSE b.display_a END AS display,
       b.ring_timeout, b.max_duration, b.language, b.prompts, true AS tenant_active
  FROM agi_router.call c
  JOIN agi_router.binding b ON b.block = c.block AND b.id = c.binding_id
  JOIN agi_router.route r
    ON r.block = b.block AND r.binding_id = b.id AND r.x_number = c.x_number
   AND r.caller_tag = ANY (%(tags)s)
  LEFT JOIN agi_router.binding h ON h.block = r.block AND h.id = r.child_id
 WHERE c.block = %(block)s AND c.id = %(call_id)s AND c.day = %(day)s AND c.state = 'reserved'
 ORDER BY array_position(%(tags)s, r.caller_tag)
 LIMIT 1;

-- remember_caller --
-- Write a stranger down as the one whom A calls back, unless somebody has called since.
UPDATE agi_router.route r
   SET last_callee = %(caller)s, last_at = %(at)s
  FROM (SELECT agi_router.assert_current_keys(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer) AS block,
               agi_router.count_seals(1)
        OFFSET 0) k
 WHERE r.block = k.block AND r.binding_id = %(id)s AND r.side = 'a'
   AND (r.last_at IS NULL OR r.last_at < %(at)s);

-- add_child --
-- Make the number that B is shown, with a life of its own; route_pkey is violated where it is taken.
SELECT agi_router.add_child(
    agi_router.assert_current_keys(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer),
    %(id)s, %(x_number)s, %(x_tag)s, %(x_callee)s, %(x_caller)s,
    %(y_number)s, %(y_tags)s::bigint[], %(y_callee)s);

-- settle --
-- Settle a batch of ended calls of one day; returns the ids it neither settled nor inserted, and whether
-- there is such a call: if not, it came at this moment, or no call may have that day.
-- Bindings are locked in one order for all, and before the places of new calls, as an admission does:
-- else they would wait for each other in a circle.
WITH ended AS (
    SELECT *
      FROM unnest(%(block)s::bigint[], %(id)s::text[], %(x_number)s::bigint[],
                  %(ended_at)s::timestamptz[], %(reason)s::text[], %(outcome)s::text[],
                  %(ring_ms)s::integer[], %(talk_ms)s::integer[], %(released_by)s::text[],
                  %(cause)s::integer[], %(kept)s::boolean[])
        AS e (block, id, x_number, ended_at, reason, outcome, ring_ms, talk_ms, released_by, cause, kept)
), settled AS (
    UPDATE agi_router.call c
       SET state = 'settled', ended_at = e.ended_at, reason = e.reason, outcome = e.outcome,
           ring_ms = e.ring_ms, talk_ms = e.talk_ms, released_by = e.released_by, cause = e.cause
      FROM ended e
     WHERE c.day = %(day)s AND c.block = e.block AND c.id = e.id AND c.state = 'reserved'
    RETURNING c.block, c.id, c.binding_id, c.outcome, e.kept
), used AS (
    -- Where no leg was dialled nothing was used, whatever the binding counts; where nobody saw the end it
    -- was told whether it counts.
    SELECT s.block, s.binding_id, count(*) AS taken,
           count(*) FILTER (WHERE s.outcome IS NOT NULL OR s.kept) AS dialled,
           count(*) FILTER (WHERE s.outcome = 'answered' OR s.kept) AS answered
      FROM settled s
     WHERE s.binding_id IS NOT NULL
     GROUP BY 1, 2
), held AS (
    -- Where all was answered and there is no limit, nothing changes.
    SELECT b.block, b.id, u.taken, CASE b.counting WHEN 'answered' THEN u.answered ELSE u.dialled END AS kept
      FROM used u
      JOIN agi_router.binding b ON b.block = u.block AND b.id = u.binding_id
     WHERE u.answered < u.taken OR b.max_calls IS NOT NULL
     ORDER BY b.block, b.id
       FOR NO KEY UPDATE OF b
), given_back AS (
    -- Once the last use will not come back the binding is over, unless something else ended it before.
    -- Within bounds: counts that somebody has altered must not keep other calls from being settled.
    UPDATE agi_router.binding b
       SET calls_used = greatest(0, b.calls_used - (h.taken - h.kept)),
           calls_settled = CASE WHEN b.max_calls IS NULL THEN b.calls_settled
                                ELSE greatest(0, least(b.calls_settled + h.kept, b.max_calls)) END,
           state = CASE WHEN b.ended_at IS NULL AND b.expires_at > now()
                         AND b.calls_settled + h.kept >= b.max_calls THEN 'used_up' ELSE b.state END,
           ended_at = CASE WHEN b.ended_at IS NULL AND b.expires_at > now()
                            AND b.calls_settled + h.kept >= b.max_calls THEN now() ELSE b.ended_at END
      FROM held h
     WHERE b.block = h.block AND b.id = h.id AND (h.kept < h.taken OR b.max_calls IS NOT NULL)
), inserted AS (
    INSERT INTO agi_router.call (block, id, day, x_number, received_at, ended_at, state, reason,
                                 outcome, ring_ms, talk_ms, released_by, cause)
    -- A call that was refused came in the second that its id tells; it ended when its prompt was over.
    SELECT e.block, e.id, %(day)s, e.x_number,
           least(e.ended_at, to_timestamp(substring(e.id FROM '([0-9]+)[.][0-9]+$')::bigint)),
           e.ended_at, 'settled', e.reason,
           e.outcome, e.ring_ms, e.talk_ms, e.released_by, e.cause
      FROM ended e
     WHERE (SELECT count(*) FROM held) >= 0
       AND agi_router.settled_day(%(day)s)
       AND NOT EXISTS (SELECT FROM agi_router.call c
                        WHERE c.day = %(day)s AND c.block = e.block AND c.id = e.id)
     ORDER BY e.block, e.id
        ON CONFLICT DO NOTHING
    RETURNING block, id
)
SELECT m.id, EXISTS (SELECT FROM agi_router.call c
                      WHERE c.day = %(day)s AND c.block = m.block AND c.id = m.id) AS known
  FROM (SELECT block, id FROM ended
        EXCEPT SELECT block, id FROM settled
        EXCEPT SELECT block, id FROM inserted) m;

-- find_used --
-- Which binding a call has used; no row: there is no such call.
SELECT block, binding_id
  FROM agi_router.call
 WHERE day = %(day)s AND block = %(block)s AND id = %(id)s;

-- list_reserved --
-- Calls of one node that are not settled, in the order of their ids: running, or their end was not
-- seen. From the index call_reserved, which holds no others.
SELECT id, block, day, x_number
  FROM agi_router.call
 WHERE state = 'reserved'
   AND id COLLATE "C" > %(after)s AND id COLLATE "C" < %(before)s
   -- All before Asterisk's own part of the id: a node's name may begin like another's.
   AND coalesce(substring(id FROM '^(.*)-[0-9]+[.][0-9]+$'), '') = %(node)s
 ORDER BY id COLLATE "C"
 LIMIT %(limit)s;

-- count_open_calls --
-- How many calls are not settled.
SELECT count(*) AS open_calls FROM agi_router.call WHERE state = 'reserved';

-- ensure_call_days --
-- Make the partitions of yesterday to two weeks ahead; returns the days that have none yet, and why.
SELECT e.day, e.why
  FROM agi_router.ensure_call_days(
       (now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 14) e
 ORDER BY e.day;

-- list_calls --
-- Calls since a time, newest first; of all, or of some bindings, one number, one reason. Blocks are
-- given with the first two: they lead the key.
SELECT c.block, c.id, c.x_number, c.binding_id, c.side, c.received_at, c.ended_at, c.ring_ms,
       c.talk_ms, c.state, c.reason, c.outcome, c.released_by, c.cause
  FROM agi_router.call c
 WHERE c.day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date - 1
   AND c.received_at >= %(since)s
   AND (%(blocks)s::bigint[] IS NULL OR c.block = ANY (%(blocks)s))
   AND (%(bindings)s::bigint[] IS NULL OR c.binding_id = ANY (%(bindings)s))
   AND (%(x_number)s::bigint IS NULL OR c.x_number = %(x_number)s)
   AND (%(reason)s::text IS NULL OR c.reason = %(reason)s)
 ORDER BY c.received_at DESC, c.id DESC
 LIMIT %(limit)s;

-- see_node --
-- Note that an Asterisk is alive. No row: one of its name is alive that is another one. Nobody was seen in the future:
-- such a row, of a clock that was set back or of a writer's, keeps nobody out.
INSERT INTO agi_router.node AS n (name, entity_id, started_at, seen_at)
VALUES (%(name)s, %(entity_id)s, %(started_at)s, clock_timestamp())
ON CONFLICT (name) DO UPDATE
   SET entity_id = excluded.entity_id, started_at = excluded.started_at, seen_at = excluded.seen_at
 WHERE n.seen_at NOT BETWEEN excluded.seen_at - interval '2 minutes' AND excluded.seen_at + interval '2 minutes'
    OR (n.entity_id = excluded.entity_id AND n.started_at <= excluded.started_at)
RETURNING n.name;

-- node --
-- What is known of the Asterisk of a name.
SELECT entity_id, started_at FROM agi_router.node WHERE name = %(name)s;
