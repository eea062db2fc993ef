-- Calls: admitting, settling, looking them up; and the Asterisks that name them.

-- admit --
-- Take one use and write the call as reserved if every guard holds; the facts either way.
SELECT * FROM agi_router.admit(
    %(block)s, %(x_number)s, %(tags)s, %(call_id)s, agi_router.admitted_day(%(day)s));

-- admit_person --
-- The same where the caller is looked up by other tags than its own, or past locks that are of strangers.
SELECT * FROM agi_router.admit(
    %(block)s, %(x_number)s, %(tags)s, %(call_id)s, agi_router.admitted_day(%(day)s),
    %(person)s::bigint[], %(strangers)s::bigint[]);

-- find_facts --
-- The facts at a time, so far as they lie within the scope, nothing taken: now, unless another time is given.
SELECT * FROM agi_router.find_facts_within(
    %(block)s, %(x_number)s, %(tags)s, coalesce(%(at)s, clock_timestamp()), %(person)s::bigint[],
    %(strangers)s::bigint[], %(scope)s);

-- find_reservation --
-- The stored decision of a call that was admitted before and is not over; no row once it is.
SELECT * FROM agi_router.find_reservation(%(block)s, %(call_id)s, %(day)s, %(tags)s::bigint[]);

-- remember_caller --
-- Write a stranger down as the one whom A calls back, unless somebody has called since.
SELECT agi_router.remember_caller(
    %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(id)s, %(caller)s, %(tag)s, %(at)s);

-- add_child --
-- Make the number that B is shown, with a life of its own; route_pkey is violated where it is taken.
SELECT agi_router.add_child(
    %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(id)s, %(x_number)s, %(x_tag)s, %(x_callee)s,
    %(x_caller)s, %(y_number)s, %(y_tags)s::bigint[], %(y_callee)s);

-- find_checked --
-- What verification services are told of an admitted call and its binding, and that of its tenant, if it has one; no row
-- once the call is over.
SELECT c.side, t.id AS tenant_id, t.name AS tenant, b.order_id, b.out_id, b.industrial_id,
       clock_timestamp() AS asked_at, s.url, s.unanswered, s.timeout_ms, s.secret,
       CASE WHEN s.old_until > clock_timestamp() THEN s.old_secret END AS old_secret
  FROM agi_router.call c
  JOIN agi_router.binding b ON b.block = c.block AND b.id = c.binding_id
  JOIN agi_router.tenant t ON t.id = b.tenant_id
  LEFT JOIN agi_router.tenant_check s ON s.tenant_id = t.id
 WHERE c.block = %(block)s AND c.day = %(day)s AND c.id = %(call_id)s AND c.state = 'reserved';

-- note_checks --
-- Write what became of the checks of an admitted call on its record: the operator's, and that of its tenant.
UPDATE agi_router.call
   SET check_id = %(id)s::uuid, check_verdict = %(verdict)s, check_ms = %(ms)s,
       tenant_check_id = %(tenant_id)s::uuid, tenant_check_verdict = %(tenant_verdict)s,
       tenant_check_ms = %(tenant_ms)s
 WHERE block = %(block)s AND day = %(day)s AND id = %(call_id)s;

-- mark_tenant_check --
-- Say whether a tenant has a check of its own; its row is locked then. No row: there is no such tenant.
UPDATE agi_router.tenant
   SET has_check = %(has)s
 WHERE id = %(tenant_id)s AND agi_router.in_scope(id, %(scope)s)
RETURNING id;

-- add_tenant_check --
-- Have a tenant's service asked about its calls.
INSERT INTO agi_router.tenant_check (tenant_id, url, unanswered, timeout_ms, secret)
SELECT %(tenant_id)s, %(url)s, %(unanswered)s, %(timeout_ms)s, %(secret)s
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) c
RETURNING tenant_id;

-- change_tenant_check --
-- Have it asked otherwise; its secret stays. No row if it is not asked.
UPDATE agi_router.tenant_check
   SET url = %(url)s, unanswered = %(unanswered)s, timeout_ms = %(timeout_ms)s
 WHERE tenant_id = %(tenant_id)s AND agi_router.in_scope(tenant_id, %(scope)s)
RETURNING tenant_id;

-- find_tenant_check --
-- The check of a tenant; no row if it has none.
SELECT t.name AS tenant, c.url, c.unanswered, c.timeout_ms, c.created_at
  FROM agi_router.tenant_check c
  JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE c.tenant_id = %(tenant_id)s AND agi_router.in_scope(t.id, %(scope)s);

-- remove_tenant_check --
-- Have a tenant's service asked no more; no row if it has none.
DELETE FROM agi_router.tenant_check
 WHERE tenant_id = %(tenant_id)s AND agi_router.in_scope(tenant_id, %(scope)s)
RETURNING tenant_id;

-- rotate_check_secret --
-- Give a tenant's check a new secret; the one before is good for some time yet.
UPDATE agi_router.tenant_check
   SET old_secret = secret, old_until = statement_timestamp() + %(overlap)s::interval, secret = %(secret)s
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) c
 WHERE tenant_id = %(tenant_id)s AND agi_router.in_scope(tenant_id, %(scope)s)
RETURNING tenant_id;

-- list_check_secrets --
-- Secrets of tenants' checks that are sealed otherwise than with this header.
SELECT tenant_id, secret, old_secret
  FROM agi_router.tenant_check
 WHERE agi_router.sealed_otherwise(secret, %(header)s::bytea)
    OR agi_router.sealed_otherwise(old_secret, %(header)s::bytea)
 ORDER BY tenant_id
 LIMIT %(limit)s
   FOR NO KEY UPDATE;

-- seal_check_secrets --
-- Keep secrets as they are sealed now.
UPDATE agi_router.tenant_check
   SET secret = %(secret)s, old_secret = %(old_secret)s
  FROM (SELECT agi_router.count_seals(2) OFFSET 0) c
 WHERE tenant_id = %(tenant_id)s
RETURNING tenant_id;

-- settle --
-- Settle a batch of ended calls of one day; returns the ids it neither settled nor inserted, and whether
-- there is such a call: if not, it came at this moment, or no call may have that day.
SELECT call_id AS id, known
  FROM agi_router.settle(
       %(block)s::bigint[], %(day)s, %(id)s::text[], %(x_number)s::bigint[], %(ended_at)s::timestamptz[],
       %(reason)s::text[], %(outcome)s::text[], %(ring_ms)s::integer[], %(talk_ms)s::integer[],
       %(released_by)s::text[], %(cause)s::integer[], %(sip_status)s::integer[], %(clock)s::text[],
       %(kept)s::boolean[]);

-- answer_calls --
-- Note that callees have answered while their calls go on, and tell whoever wants to hear so.
SELECT agi_router.answer_calls(%(block)s::bigint[], %(day)s, %(id)s::text[], %(at)s::timestamptz[]);

-- find_cuts --
-- Calls of one node that go on though a lock which cuts calls is in force on what they use or on a person who may be in them.
SELECT * FROM agi_router.find_cuts(%(node)s, %(after)s, %(before)s);

-- find_warned --
-- Calls of one node that are warned of their end from now on, or soon, and in how many seconds that can be.
SELECT * FROM agi_router.find_warned(%(node)s, %(after)s, %(before)s, %(longest)s::integer, %(warning)s::integer);

-- note_cut --
-- Write on the record of a call that goes on why it is about to be cut.
UPDATE agi_router.call
   SET cut = %(reason)s
 WHERE block = %(block)s AND day = %(day)s AND id = %(id)s AND state = 'reserved' AND cut IS NULL;

-- find_used --
-- Which binding a call has used; no row: there is no such call.
SELECT block, binding_id
  FROM agi_router.call
 WHERE day = %(day)s AND block = %(block)s AND id = %(id)s;

-- list_reserved --
-- Calls of one node that are not settled, in the order of their ids.
SELECT * FROM agi_router.list_reserved(%(node)s, %(after)s, %(before)s, %(limit)s);

-- count_open_calls --
-- How many calls are not settled.
SELECT count(*) AS open_calls FROM agi_router.call WHERE state = 'reserved';

-- list_calls --
-- Calls since a time, newest first; of all, or of one reason or outcome; until a time, or behind a call.
SELECT c.block, c.id, t.name AS tenant, c.x_number, c.binding_id, c.shown, c.side, c.received_at, c.answered_at,
       c.ended_at, c.ring_ms, c.talk_ms, c.state, c.reason, c.outcome, c.released_by, c.cause,
       c.sip_status, c.clock, c.cut, c.check_id, c.check_verdict, c.check_ms, c.tenant_check_id,
       c.tenant_check_verdict, c.tenant_check_ms,
       CASE WHEN c.record THEN agi_router.recording_state(c.id, c.day, c.block, c.state, c.talk_ms) END AS recording
  FROM agi_router.call c
  LEFT JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE c.day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date - 1
   AND c.received_at >= %(since)s AND agi_router.in_scope(c.tenant_id, %(scope)s)
   AND (%(reason)s::text IS NULL OR c.reason = %(reason)s)
   AND (%(outcome)s::text IS NULL OR c.outcome = %(outcome)s)
   AND (%(until)s::timestamptz IS NULL
        OR c.day <= (%(until)s AT TIME ZONE 'UTC')::date + 1 AND c.received_at < %(until)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR c.day <= (%(after_at)s AT TIME ZONE 'UTC')::date + 1
           AND (c.received_at, c.id) < (%(after_at)s, %(after_id)s::text))
 ORDER BY c.received_at DESC, c.id DESC
 LIMIT %(limit)s;

-- find_call --
-- One call by its id, in whichever block; it has the day of the id.
SELECT c.block, c.id, t.name AS tenant, c.x_number, c.binding_id, c.shown, c.side, c.received_at, c.answered_at,
       c.ended_at, c.ring_ms, c.talk_ms, c.state, c.reason, c.outcome, c.released_by, c.cause,
       c.sip_status, c.clock, c.cut, c.check_id, c.check_verdict, c.check_ms, c.tenant_check_id,
       c.tenant_check_verdict, c.tenant_check_ms,
       CASE WHEN c.record THEN agi_router.recording_state(c.id, c.day, c.block, c.state, c.talk_ms) END AS recording
  FROM agi_router.call c
  LEFT JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE c.block = ANY (ARRAY(SELECT k.block FROM agi_router.block k)) AND c.id = %(id)s AND c.day = %(day)s
   AND agi_router.in_scope(c.tenant_id, %(scope)s);

-- list_calls_of --
-- The same of some bindings, or to one number, or both. All are found by the numbers that were dialled: call_number
-- has those that have ended, call_reserved the few others. There is no other state: it is said for these indexes.
-- Blocks are given: that of each binding, or that of the number alone.
WITH number AS MATERIALIZED (
    SELECT %(x_number)s::bigint AS x_number
     UNION
    SELECT r.x_number
      FROM unnest(%(blocks)s::bigint[], %(bindings)s::bigint[]) n (block, id)
      JOIN agi_router.route r ON r.block = n.block AND r.binding_id = n.id
     WHERE %(x_number)s IS NULL
     UNION
    SELECT p.x_number
      FROM unnest(%(blocks)s::bigint[], %(bindings)s::bigint[]) n (block, id)
      JOIN agi_router.past_route p ON p.block = n.block AND p.binding_id = n.id
     WHERE %(x_number)s IS NULL
)
SELECT c.block, c.id, t.name AS tenant, c.x_number, c.binding_id, c.shown, c.side, c.received_at, c.answered_at,
       c.ended_at, c.ring_ms, c.talk_ms, c.state, c.reason, c.outcome, c.released_by, c.cause,
       c.sip_status, c.clock, c.cut, c.check_id, c.check_verdict, c.check_ms, c.tenant_check_id,
       c.tenant_check_verdict, c.tenant_check_ms,
       CASE WHEN c.record THEN agi_router.recording_state(c.id, c.day, c.block, c.state, c.talk_ms) END AS recording
  FROM agi_router.call c
  LEFT JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE (c.state = 'settled' OR c.state = 'reserved') AND c.x_number = ANY (ARRAY(SELECT x_number FROM number))
   AND c.day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date - 1
   AND c.received_at >= %(since)s AND agi_router.in_scope(c.tenant_id, %(scope)s)
   AND c.block = ANY (%(blocks)s::bigint[])
   AND (%(bindings)s::bigint[] IS NULL
        OR (c.block, c.binding_id) IN (
           SELECT n.block, n.id FROM unnest(%(blocks)s::bigint[], %(bindings)s::bigint[]) n (block, id)))
   AND (%(reason)s::text IS NULL OR c.reason = %(reason)s)
   AND (%(outcome)s::text IS NULL OR c.outcome = %(outcome)s)
   AND (%(until)s::timestamptz IS NULL
        OR c.day <= (%(until)s AT TIME ZONE 'UTC')::date + 1 AND c.received_at < %(until)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR c.day <= (%(after_at)s AT TIME ZONE 'UTC')::date + 1
           AND (c.received_at, c.id) < (%(after_at)s, %(after_id)s::text))
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

-- seen_node --
-- Whether an Asterisk of this name was seen within two minutes, so that it may be alive. No row: none ever was.
SELECT seen_at BETWEEN clock_timestamp() - interval '2 minutes' AND clock_timestamp() + interval '2 minutes' AS lately
  FROM agi_router.node
 WHERE name = %(name)s;

-- find_new_number --
-- The 700 number that has come in the place of an old one; no row: it is none of ours.
SELECT o.x_number FROM agi_router.old_number o WHERE o.number = %(number)s;
