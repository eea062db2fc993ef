-- Sweeping what is past retention, and rotating keys.

-- try_lock_rotation --
-- One rotates at a time; false where another does.
SELECT pg_try_advisory_lock(7002027) AS locked;

-- list_routers --
-- The connections of routers; the last word of a name is the digest of the keys they read with. Anybody may take such a
-- name: who may not use the schema is none. Another role's address is told to members of pg_read_all_stats only.
SELECT pid, application_name, usename AS role, host(client_addr) AS address,
       client_port IS NOT NULL AS address_told
  FROM pg_catalog.pg_stat_activity
 WHERE datname = current_database()
   AND (application_name LIKE 'agi_router serve%%' OR application_name LIKE 'agi_router deliver%%')
   AND has_schema_privilege(usesysid, 'agi_router', 'USAGE');

-- count_keys --
-- How many sealed values begin with each header, and so need its keys.
SELECT substring(s.sealed FROM 1 FOR 3) AS header, count(*) AS values
  FROM (SELECT callee FROM agi_router.route
        UNION ALL SELECT caller FROM agi_router.route
        UNION ALL SELECT last_callee FROM agi_router.route
        UNION ALL SELECT callee FROM agi_router.past_route
        UNION ALL SELECT caller FROM agi_router.past_route
        UNION ALL SELECT callee FROM agi_router.message_out
        UNION ALL SELECT body FROM agi_router.message_out
        UNION ALL SELECT sealed FROM agi_router.message_part
        UNION ALL SELECT sealed FROM agi_router.group_member
        UNION ALL SELECT sealed FROM agi_router.lock
        UNION ALL SELECT sealed FROM agi_router.lock_mark
        UNION ALL SELECT other_sealed FROM agi_router.lock_mark
        UNION ALL SELECT sealed FROM agi_router.blocklist
        UNION ALL SELECT other_sealed FROM agi_router.blocklist
        UNION ALL SELECT sealed FROM agi_router.person_mark
        UNION ALL SELECT sealed FROM agi_router.api_key
        UNION ALL SELECT secret FROM agi_router.webhook
        UNION ALL SELECT old_secret FROM agi_router.webhook
        UNION ALL SELECT secret FROM agi_router.tenant_check
        UNION ALL SELECT old_secret FROM agi_router.tenant_check
        UNION ALL SELECT sealed FROM agi_router.feed_pull) s (sealed)
 WHERE s.sealed IS NOT NULL
 GROUP BY 1
 ORDER BY 1;

-- count_unrenewed --
-- How many bindings have a row that was sealed or tagged with an older key, or by the other cipher.
SELECT count(*) AS bindings
  FROM agi_router.binding b
 CROSS JOIN LATERAL agi_router.find_unrenewed(b.block, b.id, %(header)s::bytea) u;

-- list_swept_blocks --
-- The blocks, for the sweep.
SELECT block FROM agi_router.block ORDER BY block;

-- end_locks --
-- Put locks away whose time is over.
SELECT agi_router.end_locks(%(limit)s::integer) AS rows;

-- lapse_appeals --
-- Have appeals lapse whose time is over.
SELECT agi_router.lapse_appeals(%(limit)s::integer) AS rows;

-- delete_locks --
-- Delete locks that were lifted or have ended so long ago that they are past retention.
WITH gone AS (
    DELETE FROM agi_router.lock
     WHERE id = ANY (ARRAY(
           SELECT id
             FROM agi_router.lock
            WHERE over_at <= now() - %(retention)s::interval
            ORDER BY over_at
            LIMIT %(limit)s
              FOR UPDATE SKIP LOCKED))
    RETURNING id
)
SELECT count(*) AS rows FROM gone;

-- end_blocklist --
-- Put entries of the block lists away whose time is over.
SELECT agi_router.end_blocklist(%(limit)s::integer) AS rows;

-- delete_blocklist --
-- Delete entries of the block lists that were removed or have ended so long ago that they are past retention.
WITH gone AS (
    DELETE FROM agi_router.blocklist
     WHERE id = ANY (ARRAY(
           SELECT id
             FROM agi_router.blocklist
            WHERE over_at <= now() - %(retention)s::interval
            ORDER BY over_at
            LIMIT %(limit)s
              FOR UPDATE SKIP LOCKED))
    RETURNING id
)
SELECT count(*) AS rows FROM gone;

-- mark_expired --
-- Mark bindings that the clock has ended; one that somebody holds has its turn later.
SELECT agi_router.mark_expired(%(limit)s::integer) AS rows;

-- forget_routes --
-- Move routes of some numbers whose binding ended so long ago that nothing rests for it any more.
WITH old AS (
    SELECT r.block, r.x_number, r.caller_tag, r.binding_id
      FROM agi_router.route r
      JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
     WHERE r.block = %(block)s AND r.x_number BETWEEN %(first)s AND %(last)s
       AND r.ends_at <= now() - %(memory)s::interval AND b.ended_at IS NOT NULL
     LIMIT %(limit)s
       FOR UPDATE OF r SKIP LOCKED
)
SELECT count(p.binding_id) AS rows
  FROM (SELECT array_agg(block) AS block, array_agg(x_number) AS x_number, array_agg(caller_tag) AS caller_tag,
               array_agg(binding_id) AS binding_id
          FROM old) o
 CROSS JOIN LATERAL agi_router.retire_routes(o.block, o.x_number, o.caller_tag, o.binding_id, NULL) p;

-- delete_bindings --
-- Walk on along a block's bindings, oldest first, and delete those past retention and their routes.
-- until: where the walk stands; null: nothing further was made so long ago.
WITH walked AS (
    SELECT id, begins_at, ended_at
      FROM agi_router.binding
     WHERE block = %(block)s AND id > %(after)s
     ORDER BY block, id
     LIMIT %(limit)s
), old AS (
    SELECT b.id
      FROM agi_router.binding b
      JOIN walked w ON w.id = b.id
     WHERE b.block = %(block)s AND b.ended_at <= now() - %(retention)s::interval
       -- A child goes with its parent, which ends no earlier.
       AND b.parent_id IS NULL
       -- While a route is where calls find it, its binding stays.
       AND NOT EXISTS (SELECT 1 FROM agi_router.route r WHERE r.block = b.block AND r.binding_id = b.id)
       -- A child has ended with it, and has neither routes nor children. A row that is tied to it otherwise is of a
       -- writer's making: both stay, and the walk goes on.
       AND NOT EXISTS (
           SELECT 1
             FROM agi_router.binding c
            WHERE c.block = b.block AND c.parent_id = b.id
              AND (c.ended_at IS NULL
                   OR EXISTS (SELECT 1 FROM agi_router.route r WHERE r.block = c.block AND r.binding_id = c.id)
                   OR EXISTS (SELECT 1 FROM agi_router.route r WHERE r.block = c.block AND r.child_id = c.id)
                   OR EXISTS (SELECT 1 FROM agi_router.past_route p WHERE p.block = c.block AND p.binding_id = c.id)
                   OR EXISTS (SELECT 1 FROM agi_router.binding g WHERE g.block = c.block AND g.parent_id = c.id)))
       FOR UPDATE OF b SKIP LOCKED
), past AS (
    DELETE FROM agi_router.past_route p USING old o WHERE p.block = %(block)s AND p.binding_id = o.id
), gone AS (
    DELETE FROM agi_router.binding b
     USING old o
     WHERE b.block = %(block)s AND o.id IN (b.id, b.parent_id)
    RETURNING b.id
)
SELECT (SELECT count(*) FROM gone) AS rows,
       (SELECT max(id) FROM walked WHERE begins_at <= now() - %(retention)s::interval) AS until;

-- delete_calls --
-- Delete calls past retention that lie in no partition of their own day.
WITH gone AS (
    DELETE FROM agi_router.call_other
     WHERE ctid = ANY (ARRAY(
           SELECT ctid
             FROM agi_router.call_other
            WHERE day < ((now() - %(retention)s::interval) AT TIME ZONE 'UTC')::date
            LIMIT %(limit)s))
    RETURNING id
)
SELECT count(*) AS rows FROM gone;

-- delete_messages --
-- Delete texts past retention that lie in no partition of their own day.
WITH gone AS (
    DELETE FROM agi_router.message_other
     WHERE ctid = ANY (ARRAY(
           SELECT ctid
             FROM agi_router.message_other
            WHERE day < ((now() - %(retention)s::interval) AT TIME ZONE 'UTC')::date
            LIMIT %(limit)s))
    RETURNING id
)
SELECT count(*) AS rows FROM gone;

-- end_unserved_messages --
-- End texts whose time was over an hour ago: the door that owes them would have done it, and is not served.
WITH late AS (
    SELECT o.block, o.id, o.attempts, o.held
      FROM agi_router.message_out o
      JOIN agi_router.binding b ON b.block = o.block AND b.id = o.binding_id
     WHERE o.expires_at <= now() - interval '1 hour' AND o.next_at <= now() - interval '1 hour'
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
SELECT count(f.state) AS rows
  -- All are locked before the first one ends: two of one binding would meet its changed row.
  FROM (SELECT array_agg(block) AS block, array_agg(id) AS id, array_agg(attempts) AS attempts, array_agg(held) AS held
          FROM late) l
 CROSS JOIN LATERAL unnest(l.block, l.id, l.attempts, l.held) o (block, id, attempts, held)
 CROSS JOIN LATERAL agi_router.finish_message(
       o.block, o.id, o.attempts, CASE WHEN o.held THEN 'failed' ELSE 'expired' END,
       CASE WHEN o.held THEN 'hold_expired' ELSE 'expired' END, NULL) f;

-- delete_parts --
-- Delete parts of texts that have waited for longer than any door has them wait.
WITH gone AS (
    DELETE FROM agi_router.message_part
     WHERE ctid = ANY (ARRAY(
           SELECT ctid
             FROM agi_router.message_part
            WHERE at <= now() - interval '2 days'
            LIMIT %(limit)s
              FOR UPDATE SKIP LOCKED))
    RETURNING number
)
SELECT count(*) AS rows FROM gone;

-- drop_day --
-- Drop the oldest day of calls, events or texts if all of it is past retention; null where it cannot be had at once.
SELECT agi_router.drop_day(
    %(parent)s, ((now() - %(retention)s::interval) AT TIME ZONE 'UTC')::date) AS day;

-- ensure_days --
-- Make the partitions of yesterday to two weeks ahead; returns the days that have none yet, and why.
SELECT p.parent, e.day, e.why
  FROM (VALUES ('call'), ('event'), ('message')) p (parent)
 CROSS JOIN LATERAL agi_router.ensure_days(
       p.parent, (now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 14) e
 ORDER BY p.parent, e.day;

-- delete_events --
-- Delete events past retention that lie in no partition of their own day.
WITH gone AS (
    DELETE FROM agi_router.event_other
     WHERE ctid = ANY (ARRAY(
           SELECT ctid
             FROM agi_router.event_other
            WHERE day < ((now() - %(retention)s::interval) AT TIME ZONE 'UTC')::date
            LIMIT %(limit)s))
    RETURNING id
)
SELECT count(*) AS rows FROM gone;
