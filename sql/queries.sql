-- Named queries: a header with the name, a sentence, the query.
-- No SQL stands in Python; the name appears in logs and errors.

-- admit --
-- Take one use and write the call as reserved if every guard holds; the facts either way.
SELECT * FROM agi_router.admit(
    %(block)s, %(x_number)s, %(tags)s, %(call_id)s, %(day)s);

-- find_facts --
-- The facts at a time, nothing taken: now, unless another time is given.
SELECT * FROM agi_router.find_facts(
    %(block)s, %(x_number)s, %(tags)s, coalesce(%(at)s, clock_timestamp()));

-- find_reservation --
-- The stored decision of a call that was admitted before and is not over; no row once it is.
SELECT true AS admitted, c.received_at AS now, true AS block_known, true AS certificate_valid,
       true AS x_bound, b.id AS binding_id, b.mode, r.side, r.caller_tag, r.callee, r.shown,
       b.state, b.direction, b.begins_at, b.expires_at, b.ended_at, b.max_calls,
       b.calls_used - 1 AS calls_used, b.ring_timeout, b.max_duration, b.language,
       true AS tenant_active
  FROM agi_router.call c
  JOIN agi_router.binding b ON b.block = c.block AND b.id = c.binding_id
  JOIN agi_router.route r
    ON r.block = b.block AND r.binding_id = b.id AND r.x_number = c.x_number
   AND r.caller_tag = ANY (%(tags)s)
 WHERE c.block = %(block)s AND c.id = %(call_id)s AND c.day = %(day)s AND c.state = 'reserved'
 ORDER BY array_position(%(tags)s, r.caller_tag)
 LIMIT 1;

-- settle --
-- Settle a batch of ended calls of one day; returns the ids it neither settled nor inserted.
-- Bindings are locked in one order for all, and before the places of new calls, as an admission does:
-- else they would wait for each other in a circle.
WITH ended AS (
    SELECT *
      FROM unnest(%(block)s::bigint[], %(id)s::text[], %(x_number)s::bigint[],
                  %(ended_at)s::timestamptz[], %(reason)s::text[], %(outcome)s::text[],
                  %(ring_ms)s::integer[], %(talk_ms)s::integer[], %(released_by)s::text[],
                  %(cause)s::integer[])
        AS e (block, id, x_number, ended_at, reason, outcome, ring_ms, talk_ms, released_by, cause)
), settled AS (
    UPDATE agi_router.call c
       SET state = 'settled', ended_at = e.ended_at, reason = e.reason, outcome = e.outcome,
           ring_ms = e.ring_ms, talk_ms = e.talk_ms, released_by = e.released_by, cause = e.cause
      FROM ended e
     WHERE c.day = %(day)s AND c.block = e.block AND c.id = e.id AND c.state = 'reserved'
    RETURNING c.block, c.id, c.binding_id, c.outcome
), unused AS (
    -- Where no leg was dialled nothing was used, whatever the binding counts.
    SELECT s.block, s.binding_id, count(*) FILTER (WHERE s.outcome IS NULL) AS undialled,
           count(*) AS uses
      FROM settled s
     WHERE s.binding_id IS NOT NULL AND s.outcome IS DISTINCT FROM 'answered'
     GROUP BY 1, 2
), held AS (
    SELECT b.block, b.id, CASE b.counting WHEN 'answered' THEN u.uses ELSE u.undialled END AS uses
      FROM unused u
      JOIN agi_router.binding b ON b.block = u.block AND b.id = u.binding_id
     ORDER BY b.block, b.id
       FOR NO KEY UPDATE OF b
), given_back AS (
    UPDATE agi_router.binding b
       SET calls_used = b.calls_used - h.uses
      FROM held h
     WHERE b.block = h.block AND b.id = h.id AND h.uses > 0
), inserted AS (
    INSERT INTO agi_router.call (block, id, day, x_number, received_at, ended_at, state, reason,
                                 outcome, ring_ms, talk_ms, released_by, cause)
    SELECT e.block, e.id, %(day)s, e.x_number, e.ended_at, e.ended_at, 'settled', e.reason,
           e.outcome, e.ring_ms, e.talk_ms, e.released_by, e.cause
      FROM ended e
     WHERE (SELECT count(*) FROM held) >= 0
       AND NOT EXISTS (SELECT FROM agi_router.call c
                        WHERE c.day = %(day)s AND c.block = e.block AND c.id = e.id)
     ORDER BY e.block, e.id
        ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT id FROM ended EXCEPT SELECT id FROM settled EXCEPT SELECT id FROM inserted;

-- list_reserved --
-- Calls of one node that are not settled: running, or their end was not seen.
SELECT id, x_number
  FROM agi_router.call
 WHERE day >= (now() AT TIME ZONE 'UTC')::date - 2 AND state = 'reserved'
   -- All before Asterisk's own part of the id: a node's name may begin like another's.
   AND coalesce(substring(id FROM '^(.*)-[0-9]+[.][0-9]+$'), '') = %(node)s
 ORDER BY received_at
 LIMIT 10000;

-- ensure_call_days --
-- Make the partitions of yesterday to a week ahead.
SELECT agi_router.ensure_call_days(
    (now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 7);

-- remember_key --
-- Remember a key's fingerprint, unless one of this kind and id is known.
INSERT INTO agi_router.key (kind, id, fingerprint)
VALUES (%(kind)s, %(id)s, %(fingerprint)s)
    ON CONFLICT DO NOTHING;

-- list_keys --
-- The keys this database knows, and what they are for.
SELECT kind, id, fingerprint, state, seen_at, current_at FROM agi_router.key ORDER BY kind, id;

-- lock_keys --
-- Wait until all who write are done, and keep others off until the transaction ends.
LOCK TABLE agi_router.key IN EXCLUSIVE MODE;

-- age_keys --
-- All keys of a kind are only read with; under lock_keys.
UPDATE agi_router.key SET state = 'old' WHERE kind = %(kind)s AND state <> 'retired';

-- set_current_key --
-- Write with this key from now on; after age_keys.
UPDATE agi_router.key
   SET state = 'current', current_at = clock_timestamp()
 WHERE kind = %(kind)s AND id = %(id)s;

-- retire_key --
-- No row needs this key any more; under lock_keys.
UPDATE agi_router.key SET state = 'retired' WHERE kind = %(kind)s AND id = %(id)s;

-- try_lock_rotation --
-- One rotates at a time; false where another does.
SELECT pg_try_advisory_lock(7002026) AS locked;

-- list_routers --
-- The connections of routers; the last word of a name is the digest of the keys they read with.
SELECT pid, application_name
  FROM pg_catalog.pg_stat_activity
 WHERE datname = current_database() AND application_name LIKE 'agi_router serve%%';

-- set_application_name --
-- Say who is connected.
SELECT set_config('application_name', %(name)s, false);

-- under_keys --
-- Make sure that these are the current keys until the transaction ends.
SELECT agi_router.under_keys(
    %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(held_x)s::bigint[], %(held_tag)s::bigint[]);

-- count_keys --
-- How many sealed values begin with each header, and so need its keys.
SELECT substring(s.sealed FROM 1 FOR 3) AS header, count(*) AS values
  FROM (SELECT callee FROM agi_router.route
        UNION ALL SELECT caller FROM agi_router.route
        UNION ALL SELECT callee FROM agi_router.past_route
        UNION ALL SELECT caller FROM agi_router.past_route) s (sealed)
 WHERE s.sealed IS NOT NULL
 GROUP BY 1
 ORDER BY 1;

-- count_unrenewed --
-- How many bindings have a row that was sealed or tagged with an older key, or by the other cipher.
SELECT count(*) AS bindings
  FROM agi_router.binding b
 CROSS JOIN LATERAL (
       SELECT
         FROM (SELECT r.callee, r.caller FROM agi_router.route r
                WHERE r.block = b.block AND r.binding_id = b.id
               UNION ALL
               SELECT p.callee, p.caller FROM agi_router.past_route p
                WHERE p.block = b.block AND p.binding_id = b.id) o
        WHERE agi_router.begins_otherwise(o.callee, %(headers)s::bytea[])
           OR agi_router.begins_otherwise(o.caller, %(headers)s::bytea[])
        LIMIT 1) s;

-- list_unrenewed --
-- The next few of those bindings. LATERAL with LIMIT: each is looked up by its key, none is scanned for.
SELECT b.block, b.id
  FROM agi_router.binding b
 CROSS JOIN LATERAL (
       SELECT
         FROM (SELECT r.callee, r.caller FROM agi_router.route r
                WHERE r.block = b.block AND r.binding_id = b.id
               UNION ALL
               SELECT p.callee, p.caller FROM agi_router.past_route p
                WHERE p.block = b.block AND p.binding_id = b.id) o
        WHERE agi_router.begins_otherwise(o.callee, %(headers)s::bytea[])
           OR agi_router.begins_otherwise(o.caller, %(headers)s::bytea[])
        LIMIT 1) s
 WHERE (b.block, b.id) > (%(block)s::bigint, %(id)s::bigint)
 ORDER BY b.block, b.id
 LIMIT %(limit)s;

-- lock_bindings --
-- Keep calls and changes off some bindings until the transaction ends; says which are over.
SELECT b.block, b.id, b.ended_at IS NOT NULL OR b.expires_at <= clock_timestamp() AS over
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.binding b ON b.block = n.block AND b.id = n.id
 ORDER BY b.block, b.id
   FOR NO KEY UPDATE OF b;

-- lock_routes --
-- The routes of some bindings; locked in the order in which they are moved out of the way.
SELECT r.block, r.binding_id, r.x_number, r.caller_tag, r.side, r.callee, r.caller
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.route r ON r.block = n.block AND r.binding_id = n.id
 ORDER BY r.block, r.x_number, r.caller_tag
   FOR UPDATE OF r;

-- list_past_routes --
-- The routes of some bindings that were taken out of use, those of members who left included.
SELECT p.block, p.binding_id, p.x_number, p.caller_tag, p.side, p.callee, p.caller, p.removed_at
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.past_route p ON p.block = n.block AND p.binding_id = n.id;

-- list_taken --
-- Which of these places other bindings hold.
SELECT n.id, n.x_number, n.caller_tag
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[], %(x_number)s::bigint[], %(tag)s::bigint[])
       n (block, id, x_number, caller_tag)
  JOIN agi_router.route r
    ON r.block = n.block AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag
 WHERE r.binding_id <> n.id;

-- renew_routes --
-- Give routes their new tags and sealed values.
UPDATE agi_router.route r
   SET caller_tag = n.tag, callee = n.callee, caller = n.caller
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[], %(x_number)s::bigint[], %(caller_tag)s::bigint[],
              %(tag)s::bigint[], %(callee)s::bytea[], %(caller)s::bytea[])
       n (block, id, x_number, caller_tag, tag, callee, caller)
 WHERE r.block = n.block AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag
   AND r.binding_id = n.id;

-- renew_past_routes --
-- The same for routes that were taken out of use.
UPDATE agi_router.past_route p
   SET caller_tag = n.tag, callee = n.callee, caller = n.caller
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[], %(x_number)s::bigint[], %(caller_tag)s::bigint[],
              %(removed_at)s::timestamptz[], %(tag)s::bigint[], %(callee)s::bytea[],
              %(caller)s::bytea[])
       n (block, id, x_number, caller_tag, removed_at, tag, callee, caller)
 WHERE p.block = n.block AND p.x_number = n.x_number AND p.caller_tag = n.caller_tag
   AND p.binding_id = n.id AND p.removed_at = n.removed_at;

-- renew_as_past --
-- Take routes of bindings that are over out of the way of newer ones, with new tags and sealed values.
WITH gone AS (
    DELETE FROM agi_router.route r
     USING unnest(%(block)s::bigint[], %(id)s::bigint[], %(x_number)s::bigint[], %(caller_tag)s::bigint[],
                  %(tag)s::bigint[], %(callee)s::bytea[], %(caller)s::bytea[])
           n (block, id, x_number, caller_tag, tag, callee, caller)
     WHERE r.block = n.block AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag
       AND r.binding_id = n.id
    RETURNING r.block, r.x_number, n.tag, r.binding_id, r.shown, r.side, n.callee, n.caller
)
INSERT INTO agi_router.past_route (block, x_number, caller_tag, binding_id, shown, side, callee, caller)
SELECT * FROM gone;

-- add_block --
-- Add a managed block; no row if it is there already.
INSERT INTO agi_router.block (block, operator, certificate)
VALUES (%(block)s, %(operator)s, %(certificate)s)
    ON CONFLICT DO NOTHING
RETURNING block, operator, certificate, state, created_at;

-- lock_block --
-- Wait until the bindings that are just being made in a block are there, and keep others off.
SELECT block FROM agi_router.block WHERE block = %(block)s FOR UPDATE;

-- count_alive --
-- How many bindings live in a block, and when the last of them ends by time.
SELECT count(*) AS bindings, max(expires_at) AS until
  FROM agi_router.binding
 WHERE block = %(block)s AND ended_at IS NULL AND expires_at > clock_timestamp();

-- set_block_state --
-- Say whether a block takes new bindings, and calls; no row if it is not ours.
UPDATE agi_router.block
   SET state = %(state)s
 WHERE block = %(block)s
RETURNING block, operator, certificate, state, created_at;

-- list_blocks --
-- All blocks, with the number of routes alive on each.
SELECT k.block, k.operator, k.certificate, k.state, k.created_at,
       (SELECT count(*)
          FROM agi_router.binding b
         WHERE b.block = k.block AND b.ended_at IS NULL AND b.expires_at > now()) AS bindings
  FROM agi_router.block k
 ORDER BY k.block;

-- find_tenant --
-- A tenant's id by name, if it is active.
SELECT id FROM agi_router.tenant WHERE name = %(name)s AND active;

-- find_block --
-- One block and whether new bindings may be made in it.
SELECT block,
       state = 'active' AND valid_from <= now() AND valid_until > now()
       AND (tenant_id IS NULL OR tenant_id = %(tenant_id)s) AS open
  FROM agi_router.block
 WHERE block = %(block)s;

-- list_open_blocks --
-- The blocks in which a tenant may make new bindings.
SELECT block
  FROM agi_router.block
 WHERE state = 'active' AND valid_from <= now() AND valid_until > now()
   AND (tenant_id IS NULL OR tenant_id = %(tenant_id)s)
 ORDER BY block;

-- choose_x --
-- Of candidate numbers, given as (number, caller) pairs, one on which none of the callers is bound:
-- rather one that none of them was on before, then the one with the fewest routes.
SELECT c.x_number
  FROM (SELECT n.x_number, min(n.place) AS place, bool_or(r.caller_tag IS NOT NULL) AS met
          FROM unnest(%(x_number)s::bigint[], %(caller_tag)s::bigint[])
               WITH ORDINALITY n (x_number, caller_tag, place)
          LEFT JOIN agi_router.route r
            ON r.block = n.x_number / 10000 AND r.x_number = n.x_number
           AND r.caller_tag = n.caller_tag
          LEFT JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
         GROUP BY n.x_number
        HAVING NOT bool_or(b.id IS NOT NULL AND b.ended_at IS NULL AND b.expires_at > now())) c
 ORDER BY c.met,
          (SELECT count(*)
             FROM agi_router.route o
            WHERE o.block = c.x_number / 10000 AND o.x_number = c.x_number),
          c.place
 LIMIT 1;

-- bind --
-- Make a binding with its routes; route_pkey is violated where a live binding is in the way.
SELECT * FROM agi_router.bind(
    agi_router.under_keys(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer,
                          %(held_x)s::bigint[], %(held_tag)s::bigint[]),
    %(terms)s, %(x_number)s, %(caller_tag)s, %(shown)s, %(side)s, %(callee)s, %(caller)s);

-- add_routes --
-- Add routes to a binding; route_pkey is violated where a live binding is in the way.
SELECT agi_router.add_routes(
    agi_router.under_keys(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer,
                          %(held_x)s::bigint[], %(held_tag)s::bigint[]),
    %(id)s, %(x_number)s, %(caller_tag)s, %(shown)s, %(side)s, %(callee)s, %(caller)s);

-- remove_route --
-- Take the route of a member who leaves out of a binding that lives on.
WITH gone AS (
    DELETE FROM agi_router.route
     WHERE block = %(block)s AND x_number = %(x_number)s AND caller_tag = %(caller_tag)s
       AND binding_id = %(id)s
    RETURNING *
)
INSERT INTO agi_router.past_route (block, x_number, caller_tag, binding_id, shown, side, callee, caller,
                                   left_group)
SELECT block, x_number, caller_tag, binding_id, shown, side, callee, caller, true FROM gone
RETURNING binding_id;

-- set_callee --
-- Say anew whom a route rings; null: nobody.
UPDATE agi_router.route
   SET callee = %(callee)s
 WHERE block = %(block)s AND x_number = %(x_number)s AND caller_tag = %(caller_tag)s
   AND binding_id = %(id)s
RETURNING binding_id;

-- lock_binding --
-- Keep calls and other changes off a binding until the transaction ends; no row if it is over.
-- Bindings in the way of these (number, caller) pairs are locked too, in the order of all who do.
WITH locked AS (
    SELECT b.id, b.mode, b.callback, b.ended_at, b.expires_at
      FROM agi_router.binding b
     WHERE b.block = %(block)s
       AND b.id = ANY (ARRAY(
           SELECT %(id)s::bigint
           UNION
           SELECT r.binding_id
             FROM unnest(%(x_number)s::bigint[], %(caller_tag)s::bigint[]) n (x_number, caller_tag)
             JOIN agi_router.route r
               ON r.block = %(block)s AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag))
     ORDER BY b.id
       FOR NO KEY UPDATE
)
SELECT mode, callback
  FROM locked
 WHERE id = %(id)s AND ended_at IS NULL AND expires_at > clock_timestamp();

-- find_conflict --
-- The bindings that hold any of these (number, caller) pairs.
SELECT r.x_number, r.caller_tag, r.binding_id
  FROM unnest(%(x_number)s::bigint[], %(caller_tag)s::bigint[]) n (x_number, caller_tag)
  JOIN agi_router.route r
    ON r.block = %(block)s AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag
  JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
 WHERE b.ended_at IS NULL AND b.expires_at > now();

-- unbind --
-- End a binding that is alive; no row if it is over or was never made.
UPDATE agi_router.binding
   SET state = 'unbound', ended_at = clock_timestamp()
 WHERE block = %(block)s AND id = %(id)s AND ended_at IS NULL AND expires_at > clock_timestamp()
RETURNING id;

-- end_order --
-- End all bindings of an order that are alive; locked in one order, as by a settlement.
WITH alive AS (
    SELECT block, id
      FROM agi_router.binding
     WHERE order_id = %(order_id)s AND ended_at IS NULL AND expires_at > clock_timestamp()
     ORDER BY block, id
       FOR NO KEY UPDATE
)
UPDATE agi_router.binding b
   SET state = 'order_ended', ended_at = clock_timestamp()
  FROM alive a
 WHERE b.block = a.block AND b.id = a.id
RETURNING b.block, b.id;

-- extend --
-- Move the end of a binding that is alive to a later time.
UPDATE agi_router.binding
   SET expires_at = %(expires_at)s
 WHERE block = %(block)s AND id = %(id)s AND ended_at IS NULL AND expires_at > clock_timestamp()
   AND expires_at <= %(expires_at)s
RETURNING id;

-- find_binding --
-- One binding.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.binding b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE b.block = %(block)s AND b.id = %(id)s;

-- list_bindings --
-- Bindings, newest first; alive ones only if so asked.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.binding b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE (%(all)s OR b.ended_at IS NULL AND b.expires_at > now())
   AND (%(order_id)s::text IS NULL OR b.order_id = %(order_id)s)
 ORDER BY b.id DESC
 LIMIT %(limit)s;

-- list_routes --
-- The routes of some bindings, those included whose place was taken since; not of those who left.
SELECT r.*
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.route r ON r.block = n.block AND r.binding_id = n.id
UNION ALL
SELECT p.block, p.x_number, p.caller_tag, p.binding_id, p.shown, p.side, p.callee, p.caller
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.past_route p ON p.block = n.block AND p.binding_id = n.id
 WHERE NOT p.left_group;

-- list_calls --
-- Calls since a time, newest first.
SELECT c.block, c.id, c.x_number, c.binding_id, c.side, c.received_at, c.ended_at, c.ring_ms,
       c.talk_ms, c.state, c.reason, c.outcome, c.released_by, c.cause
  FROM agi_router.call c
 WHERE c.day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date - 1
   AND c.received_at >= %(since)s
 ORDER BY c.received_at DESC, c.id DESC
 LIMIT %(limit)s;

-- now --
-- The database's clock, which alone judges expiry.
SELECT clock_timestamp();

-- make_ledger --
-- The schema, and the table that keeps which migrations were applied.
CREATE SCHEMA IF NOT EXISTS agi_router;
CREATE TABLE IF NOT EXISTS agi_router.migration (
    number     integer     NOT NULL PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON SCHEMA agi_router IS 'Number protection service: bindings of 700 numbers, and calls';
COMMENT ON TABLE agi_router.migration IS 'Migrations applied to this database';
COMMENT ON COLUMN agi_router.migration.number IS 'Number of the file';
COMMENT ON COLUMN agi_router.migration.name IS 'Name of the file';
COMMENT ON COLUMN agi_router.migration.checksum IS 'SHA-256 of the file';
COMMENT ON COLUMN agi_router.migration.applied_at IS 'When it was applied';

-- find_ledger --
-- A row if this database was ever migrated.
SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = 'agi_router' AND tablename = 'migration';

-- list_migrations --
-- The migrations applied.
SELECT number, name, checksum, applied_at FROM agi_router.migration ORDER BY number;

-- record_migration --
-- Note a migration as applied.
INSERT INTO agi_router.migration (number, name, checksum)
VALUES (%(number)s, %(name)s, %(checksum)s);

-- lock_migrations --
-- One migrates at a time; the others wait.
SELECT pg_advisory_lock(7002025);

-- unlock_migrations --
-- Let the next one migrate.
SELECT pg_advisory_unlock(7002025);
