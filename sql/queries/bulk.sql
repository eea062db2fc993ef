-- Imports.

-- find_place --
-- Whether bindings are rows of other databases than this one, and of which cells; and whether this is one of several cells.
SELECT c.relkind <> 'r' AS elsewhere, agi_router.heard_ago() IS NOT NULL AS is_cell,
       ARRAY(SELECT l.name FROM agi_router.list_cells() l ORDER BY l.cell) AS cells
  FROM pg_catalog.pg_class c
 WHERE c.oid = 'agi_router.binding'::regclass;

-- try_lock_imports --
-- Keep other imports off until the transaction ends, unless one is running.
SELECT pg_try_advisory_xact_lock(7002026) AS locked;

-- lock_imports --
-- Keep other imports off until the transaction ends; waits for the one that is running.
SELECT agi_router.lock_imports();

-- lock_imports_behind --
-- Keep imports off in all cells until the transaction ends; waits for those that are running, a while.
SELECT agi_router.run_behind('lock_imports', '{}');

-- await_withdrawals --
-- Wait until the withdrawals that are just being written for these tenants are there.
SELECT pg_advisory_xact_lock_shared(7002043, t) FROM unnest(%(tenants)s::integer[]) t;

-- steer_import --
-- Until the transaction ends, look up by index: nobody has analysed what is just being loaded; and keep nobody from
-- setting a lock, see agi_router.await_locks.
SELECT set_config('enable_seqscan', 'off', true), set_config('agi_router.imports', 'on', true);

-- reserve_ids --
-- Numbers for bindings to come, and the database's clock.
SELECT clock_timestamp() AS now,
       ARRAY(SELECT nextval('agi_router.binding_id') FROM generate_series(1, %(count)s)) AS ids;

-- find_bound --
-- Which of these orders with their parties are bound already, or once were.
SELECT n.place
  FROM unnest(%(order_id)s::text[], %(order_tag)s::bigint[])
       WITH ORDINALITY n (order_id, order_tag, place)
 CROSS JOIN LATERAL (
       SELECT 1
         FROM agi_router.binding b
        WHERE b.order_id = n.order_id AND b.order_tag = n.order_tag
        LIMIT 1) b;

-- find_bound_single --
-- Whether an order with its parties is bound already, or once was; by this extension, if one is asked for.
SELECT 1
  FROM agi_router.binding b
 WHERE b.order_id = %(order_id)s AND b.order_tag = ANY (%(order_tag)s)
   AND (%(extension)s::text IS NULL OR b.extension = %(extension)s)
 LIMIT 1;

-- find_held --
-- Which of these places a binding holds or held: whether it lives, and until when the place rests after it.
SELECT n.place, h.binding_id, h.lives, h.until
  FROM (SELECT clock_timestamp() AS now OFFSET 0) t
 CROSS JOIN unnest(%(x_number)s::bigint[], %(caller_tag)s::bigint[])
       WITH ORDINALITY n (x_number, caller_tag, place)
 CROSS JOIN LATERAL (
       SELECT r.binding_id, b.ended_at IS NULL AND b.expires_at > t.now AS lives,
              nullif(greatest(r.ends_at + %(party_quarantine)s::interval, t.now), t.now) AS until
         FROM agi_router.route r
         JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
        WHERE r.block = n.x_number / 10000 AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag
        LIMIT 1) h;

-- find_closed_numbers --
-- Which of these numbers rest, and until when; or, null, have strangers as callers and nobody else.
SELECT n.x_number, max(e.ends_at) + %(number_quarantine)s::interval AS until
  FROM (SELECT clock_timestamp() AS now OFFSET 0) t
 CROSS JOIN unnest(%(x_number)s::bigint[]) n (x_number)
 CROSS JOIN LATERAL (
       (SELECT r.ends_at
          FROM agi_router.route r
         WHERE r.block = n.x_number / 10000 AND r.x_number = n.x_number
           AND r.ends_at > t.now - %(number_quarantine)s::interval AND r.ends_at <= t.now
         ORDER BY r.ends_at DESC
         LIMIT 1)
       UNION ALL
       (SELECT r.ends_at
          FROM agi_router.past_route r
         WHERE r.block = n.x_number / 10000 AND r.x_number = n.x_number
           AND r.ends_at > t.now - %(number_quarantine)s::interval AND r.ends_at <= t.now
         ORDER BY r.ends_at DESC
         LIMIT 1)) e
 GROUP BY 1
UNION ALL
SELECT DISTINCT b.open_number, NULL::timestamptz
  FROM unnest(%(x_number)s::bigint[]) n (x_number)
  JOIN agi_router.binding b ON b.block = n.x_number / 10000 AND b.open_number = n.x_number
 WHERE b.open_number IS NOT NULL AND b.ended_at IS NULL AND b.expires_at > clock_timestamp();

-- find_marks --
-- The locks by these keys that are in force, for whatever tenant.
SELECT m.lock_id AS id, m.key, m.subject, m.reason, m.tenant_id, encode(m.sealed, 'hex') AS sealed
  FROM (SELECT clock_timestamp() AS now OFFSET 0) t
 CROSS JOIN unnest(%(keys)s::bigint[]) n (key)
  JOIN agi_router.lock_mark m ON m.key = n.key
 WHERE m.subject <> 'blocklist' AND m.starts_at <= t.now AND (m.ends_at IS NULL OR m.ends_at > t.now);

-- copy_bindings --
-- Load bindings that are new; the columns are those that bulk/copy_rows.py packs.
COPY agi_router.binding ({columns})
FROM STDIN (FORMAT binary);

-- copy_routes --
-- Load their routes.
COPY agi_router.route (block, binding_id, x_number, caller_tag, shown, ends_at, callee, callee_tags, caller, side)
FROM STDIN (FORMAT binary);

-- tell_bound --
-- Tell of bindings that were loaded, where their tenants are told of such.
SELECT agi_router.tell_binding(n.block, n.id, 'binding.created')
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id);

-- begin_rehearsal --
-- A table of this session for what an import would have made: orders (x_number 0) and places.
CREATE TEMP TABLE rehearsed (
    tag      bigint NOT NULL,
    x_number bigint NOT NULL,
    line     bigint NOT NULL,
    PRIMARY KEY (tag, x_number)
) ON COMMIT DROP;

-- rehearse --
-- Remember orders and places as taken.
INSERT INTO rehearsed (tag, x_number, line)
SELECT n.tag, n.x_number, n.line
  FROM unnest(%(tag)s::bigint[], %(x_number)s::bigint[], %(line)s::bigint[]) n (tag, x_number, line);

-- find_rehearsed --
-- Which of these orders and places an earlier line has taken.
SELECT n.place, h.line
  FROM unnest(%(x_number)s::bigint[], %(tag)s::bigint[]) WITH ORDINALITY n (x_number, tag, place)
 CROSS JOIN LATERAL (
       SELECT r.line FROM rehearsed r WHERE r.tag = n.tag AND r.x_number = n.x_number LIMIT 1) h;

-- find_moved --
-- The numbers that the sides of an order's binding dial; of several the last one that was bound.
SELECT (SELECT min(r.x_number)
          FROM agi_router.route r
         WHERE r.block = b.block AND r.binding_id = b.id AND r.side = 'a') AS new,
       (SELECT min(r.x_number)
          FROM agi_router.route r
         WHERE r.block = b.block AND r.binding_id = b.id AND r.side = 'b') AS new_b
  FROM agi_router.binding b
 WHERE b.order_id = %(order_id)s AND b.order_tag = ANY (%(tags)s)
 ORDER BY b.begins_at DESC
 LIMIT 1;

-- find_moved_binding --
-- The binding of an order's parties; of several the last one that was bound.
SELECT b.block, b.id
  FROM agi_router.binding b
 WHERE b.order_id = %(order_id)s AND b.order_tag = ANY (%(tags)s)
 ORDER BY b.begins_at DESC
 LIMIT 1;

-- find_moved_to --
-- The 700 number that has come in the place of an old one of a tenant.
SELECT o.x_number
  FROM agi_router.old_number o
  JOIN agi_router.tenant t ON t.id = o.tenant_id
 WHERE o.number = %(number)s AND t.name = %(tenant)s;

-- list_old_numbers --
-- Old numbers, and what has come in the place of each, newest first.
SELECT o.number, o.x_number, t.name AS tenant, o.moved_at
  FROM agi_router.old_number o
  JOIN agi_router.tenant t ON t.id = o.tenant_id
 WHERE agi_router.in_scope(o.tenant_id, %(scope)s)
   AND (%(tenant)s::text IS NULL OR t.name = %(tenant)s)
   AND (%(after_at)s::timestamptz IS NULL OR (o.moved_at, o.number) < (%(after_at)s, %(after_number)s))
 ORDER BY o.moved_at DESC, o.number DESC
 LIMIT %(limit)s;

-- keep_old_numbers --
-- Note which 700 numbers have come in the place of old ones; of several the first. An old number stays its tenant's.
INSERT INTO agi_router.old_number (number, x_number, tenant_id)
SELECT DISTINCT ON (m.number) m.number, m.x_number, t.id
  FROM unnest(%(numbers)s::text[], %(x_numbers)s::bigint[], %(tenants)s::text[]) WITH ORDINALITY
       AS m (number, x_number, tenant, at)
  JOIN agi_router.tenant t ON t.name = m.tenant
 ORDER BY m.number, m.at
    ON CONFLICT (number) DO UPDATE
   SET x_number = excluded.x_number, moved_at = now()
 WHERE agi_router.old_number.tenant_id = excluded.tenant_id
   AND agi_router.old_number.x_number <> excluded.x_number;
