-- Events: who is told of what, webhooks, what they are owed, and pulling.

-- set_told --
-- Say which types of events are written for a tenant; no row if there is none of this name.
UPDATE agi_router.tenant
   SET told = %(types)s::text[]
 WHERE name = %(tenant)s AND agi_router.in_scope(id, %(scope)s)
RETURNING id, told;

-- find_told --
-- Which types of events are written for a tenant; locked, as webhooks are added to it.
SELECT id, told
  FROM agi_router.tenant
 WHERE name = %(tenant)s AND agi_router.in_scope(id, %(scope)s)
   FOR NO KEY UPDATE;

-- new_webhook_id --
-- A number for a webhook to be, whose secret is sealed for it.
SELECT nextval('agi_router.webhook_id') AS id;

-- add_webhook --
-- Add a webhook.
INSERT INTO agi_router.webhook (id, tenant_id, url, types, format, numbers, batch, batch_wait, secret)
SELECT %(id)s, %(tenant_id)s, %(url)s, %(types)s::text[], %(format)s, %(numbers)s, %(batch)s, %(batch_wait)s, %(secret)s
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) c
RETURNING id;

-- list_webhooks --
-- Webhooks of one tenant or of all in the scope, or one; with what each is owed, and what is held.
SELECT w.id, t.name AS tenant, w.url, w.types, w.format, w.numbers, w.batch, w.batch_wait, w.state, w.failures, w.failed_since,
       w.version, w.created_at, w.old_until,
       (SELECT count(*) FROM agi_router.delivery d WHERE d.webhook_id = w.id AND d.next_at < 'infinity') AS owed,
       (SELECT count(*) FROM agi_router.delivery d WHERE d.webhook_id = w.id AND d.next_at = 'infinity') AS held
  FROM agi_router.webhook w
  JOIN agi_router.tenant t ON t.id = w.tenant_id
 WHERE w.state <> 'removed'
   AND (%(tenant)s::text IS NULL OR t.name = %(tenant)s)
   AND (%(id)s::bigint IS NULL OR w.id = %(id)s)
   AND agi_router.in_scope(w.tenant_id, %(scope)s)
 ORDER BY w.id;

-- count_webhooks --
-- How many webhooks a tenant has; its row is locked.
SELECT count(*) AS count
  FROM agi_router.webhook
 WHERE tenant_id = %(tenant_id)s AND state <> 'removed' AND agi_router.in_scope(tenant_id, %(scope)s);

-- change_webhook --
-- Say anew what a webhook is; no row if it has another version than the one given, or there is none.
UPDATE agi_router.webhook
   SET url = %(url)s, types = %(types)s::text[], format = %(format)s, numbers = %(numbers)s, batch = %(batch)s,
       batch_wait = %(batch_wait)s, version = version + 1
 WHERE id = %(id)s AND state <> 'removed' AND agi_router.in_scope(tenant_id, %(scope)s)
   AND (%(version)s::integer IS NULL OR version = %(version)s)
RETURNING id;

-- set_webhook_state --
-- Pause a webhook, or let it go on: then it begins anew.
UPDATE agi_router.webhook
   SET state = %(state)s, failures = 0, failed_since = NULL, retry_at = '-infinity'
 WHERE id = %(id)s AND state <> 'removed' AND agi_router.in_scope(tenant_id, %(scope)s)
RETURNING id;

-- remove_webhook --
-- Remove a webhook; its secrets are forgotten. No row if there is none, or it has another version.
UPDATE agi_router.webhook
   SET state = 'removed', secret = NULL, old_secret = NULL, old_until = NULL
 WHERE id = %(id)s AND state <> 'removed' AND agi_router.in_scope(tenant_id, %(scope)s)
   AND (%(version)s::integer IS NULL OR version = %(version)s)
RETURNING id;

-- forget_deliveries --
-- What a webhook that was removed is owed.
DELETE FROM agi_router.delivery WHERE webhook_id = %(id)s;

-- rotate_webhook_secret --
-- Give a webhook a new secret; the one before is good for some time yet.
UPDATE agi_router.webhook
   SET old_secret = secret, old_until = statement_timestamp() + %(overlap)s::interval, secret = %(secret)s
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) c
 WHERE id = %(id)s AND state <> 'removed' AND agi_router.in_scope(tenant_id, %(scope)s)
RETURNING id;

-- list_webhook_secrets --
-- Secrets of webhooks that are sealed otherwise than with this header.
SELECT id, secret, old_secret
  FROM agi_router.webhook
 WHERE agi_router.sealed_otherwise(secret, %(header)s::bytea)
    OR agi_router.sealed_otherwise(old_secret, %(header)s::bytea)
 ORDER BY id
 LIMIT %(limit)s
   FOR NO KEY UPDATE;

-- seal_webhook_secrets --
-- Keep secrets as they are sealed now.
UPDATE agi_router.webhook
   SET secret = %(secret)s, old_secret = %(old_secret)s
  FROM (SELECT agi_router.count_seals(2) OFFSET 0) c
 WHERE id = %(id)s
RETURNING id;

-- test_webhook --
-- Owe a webhook an event that is of nothing; no row if there is no such webhook.
SELECT agi_router.tell_webhook(w.id) AS event_id
  FROM agi_router.webhook w
 WHERE w.id = %(id)s AND w.state <> 'removed' AND agi_router.in_scope(w.tenant_id, %(scope)s);

-- resend --
-- Owe a webhook, or all of a tenant's, events of their types again: one, or all since a time and until another.
INSERT INTO agi_router.delivery (webhook_id, event_id, day, block, binding_id, sequence)
SELECT w.id, e.id, e.day, e.block, e.binding_id, e.sequence
  FROM agi_router.webhook w
  JOIN agi_router.event e ON e.tenant_id = w.tenant_id AND e.type = ANY (w.types)
 WHERE (%(id)s::bigint IS NULL OR w.id = %(id)s) AND w.state <> 'removed'
   AND agi_router.in_scope(w.tenant_id, %(scope)s)
   AND (%(tenant)s::text IS NULL
        OR w.tenant_id = (SELECT t.id FROM agi_router.tenant t WHERE t.name = %(tenant)s))
   AND (%(event_id)s::bigint IS NULL OR e.id = %(event_id)s)
   AND (%(since)s::timestamptz IS NULL
        OR e.day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date AND e.at >= %(since)s)
   AND (%(until)s::timestamptz IS NULL
        OR e.day <= (%(until)s::timestamptz AT TIME ZONE 'UTC')::date AND e.at < %(until)s)
    ON CONFLICT (webhook_id, event_id) DO UPDATE
   SET tries = 0, owed_since = statement_timestamp(), next_at = statement_timestamp(), batch = NULL
RETURNING event_id;

-- list_attempts --
-- The last tries to deliver to a webhook, newest first.
SELECT a.event_id, a.at, a.tries, a.status, a.ms, a.why
  FROM agi_router.attempt a
 WHERE a.webhook_id = %(id)s
   AND EXISTS (SELECT 1
                 FROM agi_router.webhook w
                WHERE w.id = a.webhook_id AND agi_router.in_scope(w.tenant_id, %(scope)s))
 ORDER BY at DESC, a.event_id
 LIMIT %(limit)s;

-- list_visits --
-- Databases behind this one, and whether they are to be asked for events now.
SELECT cell, due FROM agi_router.list_visits();

-- visit_cell --
-- Have here what one of them has written, and have it mark bindings that the clock has ended.
SELECT agi_router.visit_cell(%(cell)s::integer, %(expired)s::integer) AS rows;

-- pass_over_cell --
-- Ask one of them for nothing for a minute.
SELECT agi_router.pass_over_cell(%(cell)s::integer);

-- list_events --
-- Events of a tenant behind a place, in the order of the place. Only of transactions before all that are under way:
-- none that commits later has a place before these. One beyond all that this server knows is of another server's
-- life, from before its rows were loaded here.
SELECT e.id, e.xid::text::numeric AS xid, e.block, e.binding_id, e.sequence, e.at, e.type, e.data, t.name AS tenant
  FROM agi_router.tenant t
  JOIN agi_router.event e ON e.tenant_id = t.id
 WHERE t.name = %(tenant)s AND agi_router.in_scope(t.id, %(scope)s)
   AND (e.xid, e.id) > (%(xid)s::text::xid8, %(id)s::bigint)
   AND (e.xid < pg_snapshot_xmin(pg_current_snapshot()) OR e.xid >= pg_snapshot_xmax(pg_current_snapshot()))
   AND (%(since)s::timestamptz IS NULL
        OR e.day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date AND e.at >= %(since)s)
   AND (%(until)s::timestamptz IS NULL
        OR e.day <= (%(until)s::timestamptz AT TIME ZONE 'UTC')::date AND e.at < %(until)s)
   AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s))
 ORDER BY e.xid, e.id
 LIMIT %(limit)s;

-- find_event --
-- One event.
SELECT e.id, e.block, e.binding_id, e.sequence, e.at, e.type, e.data, t.name AS tenant
  FROM agi_router.event e
  JOIN agi_router.tenant t ON t.id = e.tenant_id
 WHERE e.id = %(id)s AND agi_router.in_scope(t.id, %(scope)s);

-- list_parties_then --
-- The routes of bindings as they were at some time: also those that were taken out of use since.
SELECT *
  FROM agi_router.list_parties_then(%(block)s::bigint[], %(id)s::bigint[], %(at)s::timestamptz[])
 ORDER BY place, side, x_number, caller_tag;

-- list_due_webhooks --
-- Webhooks that are sent to now and are owed something now, with their secrets.
SELECT w.id, w.url, w.format, w.numbers, w.batch, w.failures, w.secret,
       CASE WHEN w.old_until > clock_timestamp() THEN w.old_secret END AS old_secret
  FROM agi_router.webhook w
 WHERE w.state = 'active' AND w.retry_at <= clock_timestamp()
   AND agi_router.is_batch_due(w.id, w.batch, w.batch_wait)
 ORDER BY w.id;

-- watch_deliveries --
-- How many webhooks there are, which of them were switched off, what is held, and how long the first event has waited
-- for a deliverer; null: none waits. As claim_deliveries would take it.
SELECT (SELECT count(*) FROM agi_router.webhook w WHERE w.state <> 'removed') AS webhooks,
       ARRAY(SELECT w.id FROM agi_router.webhook w WHERE w.state IN ('failed', 'gone') ORDER BY w.id) AS off,
       (SELECT count(*)
          FROM agi_router.webhook w
          JOIN agi_router.delivery d ON d.webhook_id = w.id
         WHERE w.state <> 'removed' AND d.next_at = 'infinity') AS held,
       (SELECT clock_timestamp() - min(greatest(d.next_at + w.batch_wait * interval '1 s', w.retry_at))
          FROM agi_router.webhook w
          JOIN agi_router.delivery d ON d.webhook_id = w.id
         WHERE w.state = 'active' AND w.retry_at <= clock_timestamp()
           AND d.next_at <= clock_timestamp() - w.batch_wait * interval '1 s'
           AND NOT EXISTS (SELECT 1
                             FROM agi_router.delivery e
                            WHERE e.webhook_id = d.webhook_id AND e.block = d.block AND e.binding_id = d.binding_id
                              AND e.sequence < d.sequence AND e.next_at < 'infinity')) AS waiting;

-- count_deliveries --
-- What active webhooks are owed and since when, what is held, and how many webhooks were switched off.
SELECT count(*) FILTER (WHERE w.state = 'active' AND d.next_at < 'infinity') AS waiting,
       count(*) FILTER (WHERE d.next_at = 'infinity') AS held,
       coalesce(clock_timestamp() - min(d.owed_since) FILTER (WHERE w.state = 'active' AND d.next_at < 'infinity'),
                interval '0') AS oldest,
       (SELECT count(*) FROM agi_router.webhook o WHERE o.state IN ('failed', 'gone')) AS off
  FROM agi_router.delivery d
  JOIN agi_router.webhook w ON w.id = d.webhook_id AND w.state <> 'removed';

-- claim_deliveries --
-- Take some deliveries of a webhook that are due, for as long as a lease; with their events, in the order of the
-- binding. Of one binding only the first that is owed: what is under way is owed until it has arrived.
WITH due AS (
    SELECT d.event_id
      FROM agi_router.delivery d
     WHERE d.webhook_id = %(id)s AND d.next_at <= statement_timestamp()
       AND NOT EXISTS (SELECT 1
                         FROM agi_router.delivery e
                        WHERE e.webhook_id = d.webhook_id AND e.block = d.block AND e.binding_id = d.binding_id
                          AND e.sequence < d.sequence AND e.next_at < 'infinity')
     ORDER BY d.next_at
     LIMIT %(limit)s
       FOR UPDATE OF d SKIP LOCKED
), taken AS (
    UPDATE agi_router.delivery d
       SET next_at = statement_timestamp() + %(lease)s::interval, tries = d.tries + 1,
           -- Sent by itself now, it is of no batch any more.
           batch = NULL
      FROM due n
     WHERE d.webhook_id = %(id)s AND d.event_id = n.event_id
    RETURNING d.event_id, d.day, d.tries, statement_timestamp() - d.owed_since AS owed
)
SELECT e.id, e.block, e.binding_id, e.sequence, e.at, e.type, e.data, t.name AS tenant, n.tries, n.owed
  FROM taken n
  JOIN agi_router.event e ON e.id = n.event_id AND e.day = n.day
  JOIN agi_router.tenant t ON t.id = e.tenant_id
 ORDER BY e.id;

-- claim_batch --
-- Take a batch of a webhook's deliveries: one that was sent before and is due again, as it was, or else up to so many
-- that are due, unless they wait for more. One deliverer at a time, or two could have parts of one batch. All of a batch have the same number of
-- tries: they fail together.
WITH own AS MATERIALIZED (
    SELECT w.id
      FROM agi_router.webhook w
     WHERE w.id = %(id)s AND agi_router.is_batch_due(w.id, w.batch, w.batch_wait)
       FOR NO KEY UPDATE SKIP LOCKED
), again AS MATERIALIZED (
    SELECT d.batch
      FROM agi_router.delivery d
     WHERE d.webhook_id = %(id)s AND d.next_at <= statement_timestamp() AND d.batch IS NOT NULL
     ORDER BY d.next_at
     LIMIT 1
), due AS (
    SELECT d.event_id, d.batch, d.tries
      FROM own o
      JOIN agi_router.delivery d ON d.webhook_id = o.id
     WHERE d.next_at <= statement_timestamp()
       AND (d.batch = (SELECT a.batch FROM again a)
            OR d.batch IS NULL
               AND NOT EXISTS (SELECT a.batch FROM again a)
               AND NOT EXISTS (SELECT 1
                                 FROM agi_router.delivery e
                                WHERE e.webhook_id = d.webhook_id AND e.block = d.block
                                  AND e.binding_id = d.binding_id
                                  AND e.sequence < d.sequence AND e.next_at < 'infinity'))
     ORDER BY d.next_at
     LIMIT (SELECT CASE WHEN EXISTS (SELECT a.batch FROM again a) THEN 100 ELSE %(limit)s END)
       FOR UPDATE OF d
), taken AS (
    UPDATE agi_router.delivery d
       SET next_at = statement_timestamp() + %(lease)s::interval, tries = 1 + (SELECT max(t.tries) FROM due t),
           batch = coalesce(n.batch, %(batch)s)
      FROM due n
     WHERE d.webhook_id = %(id)s AND d.event_id = n.event_id
    RETURNING d.event_id, d.day, d.tries, d.batch, statement_timestamp() - d.owed_since AS owed
)
SELECT e.id, e.block, e.binding_id, e.sequence, e.at, e.type, e.data, t.name AS tenant, n.tries, n.owed, n.batch
  FROM taken n
  JOIN agi_router.event e ON e.id = n.event_id AND e.day = n.day
  JOIN agi_router.tenant t ON t.id = e.tenant_id
 ORDER BY e.id;

-- finish_deliveries --
-- What has arrived is owed no more, and its webhooks work.
WITH done AS (
    SELECT *
      FROM unnest(%(webhook_id)s::bigint[], %(event_id)s::bigint[], %(tries)s::integer[], %(status)s::integer[],
                  %(ms)s::integer[]) n (webhook_id, event_id, tries, status, ms)
), gone AS (
    DELETE FROM agi_router.delivery d USING done n WHERE d.webhook_id = n.webhook_id AND d.event_id = n.event_id
), noted AS (
    INSERT INTO agi_router.attempt (webhook_id, event_id, at, tries, status, ms)
    SELECT webhook_id, event_id, statement_timestamp(), tries, status, ms FROM done
)
UPDATE agi_router.webhook w
   SET failures = 0, failed_since = NULL, retry_at = '-infinity'
 WHERE w.id IN (SELECT webhook_id FROM done) AND w.failures > 0;

-- fail_delivery --
-- Note a failed try of one delivery or of a batch: when it is tried again, null: it is held; and for how long nothing is sent to its webhook, which
-- is switched off if it is gone, or has failed for too long. Only the last try of a delivery has a say in it.
WITH put_off AS (
    UPDATE agi_router.delivery
       SET next_at = coalesce(statement_timestamp() + %(delay)s::interval, 'infinity')
     WHERE webhook_id = %(webhook_id)s AND event_id = ANY (%(event_id)s::bigint[]) AND tries = %(tries)s
), noted AS (
    INSERT INTO agi_router.attempt (webhook_id, event_id, at, tries, status, ms, why)
    SELECT %(webhook_id)s, n.event_id, statement_timestamp(), %(tries)s, %(status)s::integer, %(ms)s::integer,
           %(why)s
      FROM unnest(%(event_id)s::bigint[]) n (event_id)
)
UPDATE agi_router.webhook w
   SET failures = w.failures + 1, failed_since = coalesce(w.failed_since, statement_timestamp()),
       retry_at = statement_timestamp() + %(pause)s::interval,
       state = CASE WHEN %(gone)s THEN 'gone'
                    WHEN w.failed_since < statement_timestamp() - %(patience)s::interval THEN 'failed'
                    ELSE w.state END
 WHERE w.id = %(webhook_id)s AND w.state = 'active'
RETURNING w.state;

-- tell_trouble --
-- Tell the tenant of a webhook that it is switched off, and which events are held because of it.
SELECT agi_router.tell_trouble(%(webhook_id)s, %(held)s::bigint[]);

-- put_off_delivery --
-- Try a delivery later that could not be tried, and by itself; null: it is held.
UPDATE agi_router.delivery
   SET next_at = coalesce(statement_timestamp() + %(delay)s::interval, 'infinity'), batch = NULL
 WHERE webhook_id = %(webhook_id)s AND event_id = %(event_id)s AND tries = %(tries)s;

-- postpone_webhook --
-- Send nothing to a webhook for some time.
UPDATE agi_router.webhook SET retry_at = statement_timestamp() + %(pause)s::interval WHERE id = %(id)s;

-- expire_bindings --
-- Mark bindings that the clock has ended, and so tell of it.
SELECT agi_router.expire_bindings(%(limit)s::integer) AS rows;

-- forget_attempts --
-- Delete some tries that nobody asks for any more.
WITH gone AS (
    DELETE FROM agi_router.attempt
     WHERE ctid = ANY (ARRAY(SELECT ctid
                               FROM agi_router.attempt
                              WHERE at < now() - interval '7 days'
                              LIMIT %(limit)s))
    RETURNING event_id
)
SELECT count(*) AS rows FROM gone;
