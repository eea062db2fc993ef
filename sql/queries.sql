-- Named queries: a header with the name, a sentence, the query.
-- No SQL stands in Python; the name appears in logs and errors.

-- admit --
-- Take one use and write the call as reserved if every guard holds; the facts either way.
SELECT * FROM agi_router.admit(
    %(block)s, %(x_number)s, %(tags)s, %(call_id)s, agi_router.admitted_day(%(day)s));

-- list_prompt_sets --
-- Sets of prompts that bindings name, of the ten thousand that live longest.
SELECT DISTINCT live.prompts
  FROM (SELECT prompts FROM agi_router.binding
         WHERE ended_at IS NULL AND expires_at > now()
         ORDER BY expires_at DESC LIMIT 10000) AS live
 WHERE live.prompts IS NOT NULL
 ORDER BY live.prompts;

-- limit_lock_wait --
-- Until the transaction ends, whoever waits for a lock fails after so many milliseconds.
SELECT set_config('lock_timeout', %(milliseconds)s::text, true);

-- set_lock_wait --
-- From now on, whoever waits for a lock on this connection fails after so many milliseconds.
SELECT set_config('lock_timeout', %(milliseconds)s::text, false);

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
  FROM (SELECT agi_router.under_keys(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer) AS block,
               agi_router.count_seals(1)
        OFFSET 0) k
 WHERE r.block = k.block AND r.binding_id = %(id)s AND r.side = 'a'
   AND (r.last_at IS NULL OR r.last_at < %(at)s);

-- add_child --
-- Make the number that B is shown, with a life of its own; route_pkey is violated where it is taken.
SELECT agi_router.add_child(
    agi_router.under_keys(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer),
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

-- count_blocks --
-- How many managed blocks there are in each state.
SELECT state, count(*) AS blocks FROM agi_router.block GROUP BY state;

-- count_bindings --
-- Of the next bindings behind one, at most so many: how many are alive, and which is the last; no row behind the last.
WITH piece AS (
    SELECT block, id, expires_at
      FROM agi_router.binding
     WHERE ended_at IS NULL AND (block, id) > (%(block)s, %(id)s)
     ORDER BY block, id
     LIMIT %(limit)s
)
SELECT l.block, l.id,
       (SELECT count(*) FROM piece WHERE expires_at > clock_timestamp()) AS alive
  FROM (SELECT block, id FROM piece ORDER BY block DESC, id DESC LIMIT 1) l;

-- count_numbers --
-- Of the next numbers of active blocks behind one, at most so many: how many are bound, how many rest, and which is the
-- last; no row behind the last.
SELECT max(x.x_number) AS last,
       count(*) AS numbers,
       count(*) FILTER (WHERE x.bound) AS bound,
       count(*) FILTER (WHERE NOT x.bound AND x.rests_until IS NOT NULL) AS resting
  FROM (SELECT greatest(block * 10000, %(after)s + 1) AS first, block * 10000 + 9999 AS last
          FROM agi_router.block
         WHERE state = 'active' AND block >= (%(after)s + 1) / 10000
         ORDER BY block
         LIMIT 1) k
 CROSS JOIN LATERAL agi_router.survey_numbers(
       k.first, least(k.last, k.first + %(limit)s - 1), %(rest)s, clock_timestamp()) x
HAVING count(*) > 0;

-- ensure_call_days --
-- Make the partitions of yesterday to two weeks ahead; returns the days that have none yet, and why.
SELECT e.day, e.why
  FROM agi_router.ensure_call_days(
       (now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 14) e
 ORDER BY e.day;

-- remember_key --
-- Remember a key's fingerprint, unless one of this kind and id is known.
INSERT INTO agi_router.key (kind, id, fingerprint)
VALUES (%(kind)s, %(id)s, %(fingerprint)s)
    ON CONFLICT DO NOTHING;

-- list_keys --
-- The keys this database knows, what they are for, and how many values each has sealed.
SELECT k.kind, k.id, k.fingerprint, k.state, k.seen_at, k.current_at,
       CASE WHEN k.kind = 'seal' AND k.current_at IS NOT NULL
            THEN coalesce((SELECT min(n.sealed_before)
                             FROM agi_router.key n
                            WHERE n.kind = k.kind AND n.current_at > k.current_at),
                          agi_router.seals_so_far()) - k.sealed_before END AS sealed
  FROM agi_router.key k
 ORDER BY k.kind, k.id;

-- lock_keys --
-- Wait until all who write are done, and keep others off until the transaction ends.
LOCK TABLE agi_router.key IN EXCLUSIVE MODE;

-- age_keys --
-- All keys of a kind are only read with; under lock_keys.
UPDATE agi_router.key SET state = 'old' WHERE kind = %(kind)s AND state <> 'retired';

-- set_current_key --
-- Write with this key from now on; after age_keys.
UPDATE agi_router.key
   SET state = 'current', current_at = clock_timestamp(), sealed_before = agi_router.seals_so_far()
 WHERE kind = %(kind)s AND id = %(id)s;

-- retire_key --
-- No row needs this key any more; under lock_keys.
UPDATE agi_router.key SET state = 'retired' WHERE kind = %(kind)s AND id = %(id)s;

-- try_lock_rotation --
-- One rotates at a time; false where another does.
SELECT pg_try_advisory_lock(7002027) AS locked;

-- list_routers --
-- The connections of routers; the last word of a name is the digest of the keys they read with. Anybody may take such a
-- name: who may not use the schema is none. Another role's address is told to members of pg_read_all_stats only.
SELECT pid, application_name, usename AS role, host(client_addr) AS address,
       client_port IS NOT NULL AS address_told
  FROM pg_catalog.pg_stat_activity
 WHERE datname = current_database() AND application_name LIKE 'agi_router serve%%'
   AND has_schema_privilege(usesysid, 'agi_router', 'USAGE');

-- set_application_name --
-- Say who is connected.
SELECT set_config('application_name', %(name)s, false);

-- under_keys --
-- Make sure that these are the current keys until the transaction ends.
SELECT agi_router.under_keys(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer);

-- count_seals --
-- Count values that were sealed.
SELECT agi_router.count_seals(%(count)s::bigint);

-- clear_places --
-- Move the routes of ended bindings out of these places; route_pkey is violated where one lives.
SELECT agi_router.clear_places(%(block)s, %(x_number)s::bigint[], %(caller_tag)s::bigint[]);

-- count_keys --
-- How many sealed values begin with each header, and so need its keys.
SELECT substring(s.sealed FROM 1 FOR 3) AS header, count(*) AS values
  FROM (SELECT callee FROM agi_router.route
        UNION ALL SELECT caller FROM agi_router.route
        UNION ALL SELECT last_callee FROM agi_router.route
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
         FROM (SELECT r.callee, r.caller, r.last_callee FROM agi_router.route r
                WHERE r.block = b.block AND r.binding_id = b.id
               UNION ALL
               SELECT p.callee, p.caller, NULL FROM agi_router.past_route p
                WHERE p.block = b.block AND p.binding_id = b.id) o
        WHERE agi_router.begins_otherwise(o.callee, %(headers)s::bytea[])
           OR agi_router.begins_otherwise(o.caller, %(headers)s::bytea[])
           OR agi_router.begins_otherwise(o.last_callee, %(headers)s::bytea[])
        LIMIT 1) s;

-- list_unrenewed --
-- The next few of those bindings. LATERAL with LIMIT: each is looked up by its key, none is scanned for.
SELECT b.block, b.id
  FROM agi_router.binding b
 CROSS JOIN LATERAL (
       SELECT
         FROM (SELECT r.callee, r.caller, r.last_callee FROM agi_router.route r
                WHERE r.block = b.block AND r.binding_id = b.id
               UNION ALL
               SELECT p.callee, p.caller, NULL FROM agi_router.past_route p
                WHERE p.block = b.block AND p.binding_id = b.id) o
        WHERE agi_router.begins_otherwise(o.callee, %(headers)s::bytea[])
           OR agi_router.begins_otherwise(o.caller, %(headers)s::bytea[])
           OR agi_router.begins_otherwise(o.last_callee, %(headers)s::bytea[])
        LIMIT 1) s
 WHERE (b.block, b.id) > (%(block)s::bigint, %(id)s::bigint)
 ORDER BY b.block, b.id
 LIMIT %(limit)s;

-- lock_bindings --
-- Keep calls and changes off some bindings until the transaction ends; says which are over, and of
-- whom it is known by what their rows are tagged.
SELECT b.block, b.id, b.ended_at IS NOT NULL OR b.expires_at <= clock_timestamp() AS over,
       b.mode, b.extension, b.y_ttl, b.order_id, b.order_tag, b.pair_tag, t.name AS tenant
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.binding b ON b.block = n.block AND b.id = n.id
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 ORDER BY b.block, b.id
   FOR NO KEY UPDATE OF b;

-- lock_routes --
-- The routes of some bindings; locked in the order in which they are moved out of the way.
SELECT r.block, r.binding_id, r.x_number, r.caller_tag, r.shown, r.side, r.callee, r.caller,
       r.last_callee
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.route r ON r.block = n.block AND r.binding_id = n.id
 ORDER BY r.block, r.x_number, r.caller_tag
   FOR UPDATE OF r;

-- list_past_routes --
-- The routes of some bindings that were taken out of use, those of members who left included.
SELECT p.block, p.binding_id, p.x_number, p.caller_tag, p.shown, p.side, p.callee, p.caller,
       p.removed_at, p.left_group
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.past_route p ON p.block = n.block AND p.binding_id = n.id;

-- list_held_by_others --
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
   SET caller_tag = n.tag, callee = n.callee, caller = n.caller, last_callee = n.last_callee
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[], %(x_number)s::bigint[], %(caller_tag)s::bigint[],
              %(tag)s::bigint[], %(callee)s::bytea[], %(caller)s::bytea[], %(last_callee)s::bytea[])
       n (block, id, x_number, caller_tag, tag, callee, caller, last_callee)
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
    RETURNING r.block, r.x_number, n.tag, r.binding_id, r.shown, r.side, n.callee, n.caller, r.begins_at,
              r.ends_at
)
INSERT INTO agi_router.past_route (block, x_number, caller_tag, binding_id, shown, side, callee, caller,
                                   begins_at, ends_at)
SELECT * FROM gone;

-- tag_bindings --
-- Give bindings their new tags, of their orders and of their parties.
UPDATE agi_router.binding b
   SET order_tag = n.order_tag, pair_tag = n.pair_tag
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[], %(order_tag)s::bigint[], %(pair_tag)s::bigint[])
       n (block, id, order_tag, pair_tag)
 WHERE b.block = n.block AND b.id = n.id;

-- add_block --
-- Add a managed block; no row if it is there already.
INSERT INTO agi_router.block (block, operator, certificate, tenant_id, valid_from, valid_until)
VALUES (%(block)s, %(operator)s, %(certificate)s, %(tenant_id)s,
        coalesce(%(valid_from)s, '-infinity'::timestamptz), coalesce(%(valid_until)s, 'infinity'::timestamptz))
    ON CONFLICT DO NOTHING
RETURNING block;

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
RETURNING block;

-- list_blocks --
-- The blocks, or one of them, with the number of bindings that live in each. Infinite dates read as null.
SELECT k.block, k.operator, k.certificate, t.name AS tenant, k.state, k.created_at,
       nullif(k.valid_from, '-infinity') AS valid_from, nullif(k.valid_until, 'infinity') AS valid_until,
       (SELECT count(*)
          FROM agi_router.binding b
         WHERE b.block = k.block AND b.ended_at IS NULL AND b.expires_at > clock_timestamp()) AS bindings
  FROM agi_router.block k
  LEFT JOIN agi_router.tenant t ON t.id = k.tenant_id
 WHERE %(block)s::bigint IS NULL OR k.block = %(block)s
 ORDER BY k.block;

-- survey_pool --
-- Of each block that is not returned: how many numbers are bound, rest, and were held a day ago.
SELECT k.block, k.state, t.name AS tenant, n.now, s.bound, s.resting,
       agi_router.count_held(k.block, %(rest)s, n.now - interval '1 day') AS held_before
  FROM agi_router.block k
 CROSS JOIN (SELECT now() AS now) n
  LEFT JOIN agi_router.tenant t ON t.id = k.tenant_id
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE x.bound) AS bound,
              count(*) FILTER (WHERE NOT x.bound AND x.rests_until IS NOT NULL) AS resting
         FROM agi_router.survey_block(k.block, %(rest)s, n.now) x) s
 WHERE k.state <> 'returned'
 ORDER BY k.block;

-- list_unrested --
-- The numbers of a block that do not rest, and whether anybody is bound on them.
SELECT x_number, bound
  FROM agi_router.survey_block(%(block)s, %(rest)s, clock_timestamp())
 WHERE rests_until IS NULL;

-- add_tenant --
-- Add a tenant; no row if it is there already.
INSERT INTO agi_router.tenant (name) VALUES (%(name)s)
    ON CONFLICT DO NOTHING
RETURNING name, active, created_at;

-- list_tenants --
-- All tenants, with the number of blocks kept for each.
SELECT t.name, t.active, t.created_at,
       (SELECT count(*) FROM agi_router.block k WHERE k.tenant_id = t.id) AS blocks
  FROM agi_router.tenant t
 ORDER BY t.name;

-- set_tenant_active --
-- Suspend a tenant, or let it go on; no row if there is none of this name.
UPDATE agi_router.tenant
   SET active = %(active)s
 WHERE name = %(name)s
RETURNING name, active, created_at;

-- find_tenant --
-- A tenant's id by name.
SELECT id FROM agi_router.tenant WHERE name = %(name)s;

-- find_block --
-- One block and what keeps a tenant's new bindings out of it; null: nothing does.
SELECT agi_router.why_closed(k, %(tenant_id)s, %(digit)s, clock_timestamp()) AS closed
  FROM agi_router.block k
 WHERE k.block = %(block)s;

-- find_opening --
-- An active tenant, the time, and some of the blocks in which it may make new bindings, drawn at random: of its
-- own, and of the shared ones. There may be thousands, of which a bind uses one. And the number of the binding, which
-- has to be known before it is made.
-- The time is a column, not the function: else why_closed would not be inlined, at six times the cost.
SELECT t.id, n.now, nextval('agi_router.binding_id') AS binding_id,
       ARRAY(SELECT k.block FROM agi_router.block k
              WHERE k.tenant_id = t.id AND agi_router.why_closed(k, t.id, %(digit)s, n.now) IS NULL
              ORDER BY random() LIMIT %(draws)s) AS own,
       ARRAY(SELECT k.block FROM agi_router.block k
              WHERE k.tenant_id IS NULL AND agi_router.why_closed(k, t.id, %(digit)s, n.now) IS NULL
              ORDER BY random() LIMIT %(draws)s) AS shared
  FROM (SELECT clock_timestamp() AS now OFFSET 0) n
  JOIN agi_router.tenant t ON t.name = %(tenant)s AND t.active;

-- list_open_blocks --
-- All blocks in which a tenant may make new bindings: its own, then the shared ones.
SELECT k.block
  FROM agi_router.block k
 WHERE agi_router.why_closed(k, %(tenant_id)s, %(digit)s, clock_timestamp()) IS NULL
 ORDER BY k.tenant_id NULLS LAST, k.block;

-- count_closed --
-- How many blocks are closed to a tenant's new bindings, by what closes them.
SELECT c.closed, count(*) AS blocks
  FROM (SELECT agi_router.why_closed(k, %(tenant_id)s, %(digit)s, clock_timestamp()) AS closed
          FROM agi_router.block k) c
 WHERE c.closed IS NOT NULL
 GROUP BY c.closed;

-- choose_x --
-- Of candidate numbers of one block, one that does not rest and on which no caller is or was of late:
-- of the first few such the one with the fewest live routes. A candidate's callers stand one after
-- the other in caller_tag. Subqueries, not joins: a candidate that is not needed is not looked at.
-- OFFSET 0 keeps the time out of the look by key: among many routes of a number, the caller's are few.
SELECT c.x_number
  FROM (SELECT n.x_number, n.place, t.now
          FROM (SELECT clock_timestamp() AS now OFFSET 0) t
         CROSS JOIN unnest(%(x_number)s::bigint[]) WITH ORDINALITY n (x_number, place)
         CROSS JOIN LATERAL (
               SELECT (%(caller_tag)s::bigint[])[(n.place::integer - 1) * %(callers)s::integer + 1
                                                 : n.place::integer * %(callers)s::integer] AS tags) g
         WHERE (SELECT true FROM agi_router.route r
                 WHERE r.block = %(block)s AND r.x_number = n.x_number
                   AND r.ends_at > t.now - %(rest)s::interval AND r.ends_at <= t.now LIMIT 1) IS NULL
           AND (SELECT true FROM agi_router.past_route r
                 WHERE r.block = %(block)s AND r.x_number = n.x_number
                   AND r.ends_at > t.now - %(rest)s::interval AND r.ends_at <= t.now LIMIT 1) IS NULL
           AND (SELECT true
                  FROM (SELECT r.ends_at FROM agi_router.route r
                         WHERE r.block = %(block)s AND r.x_number = n.x_number
                           AND r.caller_tag = ANY (g.tags) OFFSET 0) m
                 WHERE m.ends_at > t.now - %(party_rest)s::interval LIMIT 1) IS NULL
           AND (SELECT true
                  FROM (SELECT r.ends_at FROM agi_router.past_route r
                         WHERE r.block = %(block)s AND r.x_number = n.x_number
                           AND r.caller_tag = ANY (g.tags) OFFSET 0) m
                 WHERE m.ends_at > t.now - %(party_rest)s::interval LIMIT 1) IS NULL
         LIMIT 4) c
 ORDER BY (SELECT count(*) FROM agi_router.route o
            WHERE o.block = %(block)s AND o.x_number = c.x_number AND o.ends_at > c.now), c.place
 LIMIT 1;

-- count_met --
-- On how many of some numbers of one block a caller is, or was of late; for callers see choose_x.
SELECT count(*) AS numbers
  FROM (SELECT clock_timestamp() AS now OFFSET 0) t
 CROSS JOIN unnest(%(x_number)s::bigint[]) WITH ORDINALITY n (x_number, place)
 CROSS JOIN LATERAL (
       SELECT (%(caller_tag)s::bigint[])[(n.place::integer - 1) * %(callers)s::integer + 1
                                         : n.place::integer * %(callers)s::integer] AS tags) g
 WHERE (SELECT true FROM agi_router.route r
         WHERE r.block = %(block)s AND r.x_number = n.x_number AND r.caller_tag = ANY (g.tags)
           AND r.ends_at > t.now - %(party_rest)s::interval LIMIT 1)
    OR (SELECT true FROM agi_router.past_route r
         WHERE r.block = %(block)s AND r.x_number = n.x_number AND r.caller_tag = ANY (g.tags)
           AND r.ends_at > t.now - %(party_rest)s::interval LIMIT 1);

-- find_pair --
-- The numbers that the same parties had last, by a binding that is over: what side A dialled, and B.
SELECT r.x_number, r.caller_tag, r.shown
  FROM (SELECT b.block, b.id
          FROM agi_router.binding b
         WHERE b.pair_tag = ANY (%(pair_tags)s::bigint[]) AND b.tenant_id = %(tenant_id)s AND b.mode = %(mode)s
           AND coalesce(b.ended_at, b.expires_at) <= clock_timestamp()
         ORDER BY b.begins_at DESC
         LIMIT 1) p
 CROSS JOIN LATERAL (
       SELECT o.x_number, o.caller_tag, o.shown
         FROM agi_router.route o
        WHERE o.block = p.block AND o.binding_id = p.id AND o.side = 'a'
       UNION ALL
       SELECT o.x_number, o.caller_tag, o.shown
         FROM agi_router.past_route o
        WHERE o.block = p.block AND o.binding_id = p.id AND o.side = 'a') r
 LIMIT 1;

-- find_rests --
-- Which of these (number, caller) pairs may not be bound yet, and until when.
SELECT x_number, caller_tag, until
  FROM agi_router.find_rests(
       %(block)s, %(id)s, %(place_x)s::bigint[], %(place_tag)s::bigint[], %(place)s::integer[], %(rest)s,
       %(party_rest)s, clock_timestamp())
 ORDER BY until DESC;

-- bind --
-- Make a binding with its routes; all null where its block is closed to it or a number rests.
-- route_pkey is violated where a live binding is in the way. place: see agi_router.bind.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.bind(
       agi_router.under_keys(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer),
       %(terms)s, %(rest)s, %(party_rest)s, %(x_number)s, %(caller_tag)s, %(shown)s, %(side)s,
       %(callee)s, %(caller)s, %(place_x)s::bigint[], %(place_tag)s::bigint[], %(place)s::integer[]) b
  LEFT JOIN agi_router.tenant t ON t.id = b.tenant_id;

-- add_routes --
-- Add routes to a binding; route_pkey is violated where a live binding is in the way.
SELECT agi_router.add_routes(
    agi_router.clear_places(
        agi_router.under_keys(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer),
        %(place_x)s::bigint[], %(place_tag)s::bigint[]),
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
                                   begins_at, ends_at, left_group)
SELECT block, x_number, caller_tag, binding_id, shown, side, callee, caller, begins_at, clock_timestamp(),
       true
  FROM gone
RETURNING binding_id;

-- set_callee --
-- Say anew whom a route rings, null: nobody; and perhaps forget the last caller.
UPDATE agi_router.route r
   SET callee = %(callee)s,
       last_callee = CASE WHEN NOT %(forget)s THEN last_callee END,
       last_at = CASE WHEN NOT %(forget)s THEN last_at END
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) k
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

-- find_others --
-- The live bindings that share a number with routes where one side is to be alone on it.
SELECT DISTINCT o.x_number, o.binding_id
  FROM agi_router.route o
  JOIN agi_router.binding p ON p.block = o.block AND p.id = o.binding_id
 WHERE o.block = %(block)s AND o.x_number = ANY (%(x_number)s)
   AND p.ended_at IS NULL AND p.expires_at > now()
   AND NOT (p.mode = 'axe' AND %(mode)s = 'axe')
 ORDER BY 1, 2
 LIMIT 3;

-- list_free --
-- Of some numbers of a block, those on which a binding that strangers may call can be made.
SELECT n.x_number
  FROM unnest(%(x_number)s::bigint[]) WITH ORDINALITY n (x_number, place)
 WHERE NOT EXISTS (SELECT
                     FROM agi_router.route o
                     JOIN agi_router.binding p ON p.block = o.block AND p.id = o.binding_id
                    WHERE o.block = n.x_number / 10000 AND o.x_number = n.x_number
                      AND p.ended_at IS NULL AND p.expires_at > now()
                      AND NOT (p.mode = 'axe' AND %(mode)s = 'axe'))
 ORDER BY n.place;

-- list_taken --
-- Those of some callers' places on a number that are taken, or were and are not free for others yet.
SELECT caller_tag
  FROM agi_router.route
 WHERE block = %(block)s AND x_number = %(x_number)s AND caller_tag = ANY (%(caller_tag)s);

-- unbind --
-- End a binding that is alive; no row if it is over or was never made.
UPDATE agi_router.binding
   SET state = 'unbound', ended_at = clock_timestamp()
 WHERE block = %(block)s AND id = %(id)s AND ended_at IS NULL AND expires_at > clock_timestamp()
RETURNING id;

-- end_order --
-- End all bindings of an order that are alive, perhaps of one tenant only; locked in one order, as by a settlement.
WITH alive AS (
    SELECT block, id
      FROM agi_router.binding
     WHERE order_id = %(order_id)s AND ended_at IS NULL AND expires_at > clock_timestamp()
       AND (%(tenant)s::text IS NULL
            OR tenant_id = (SELECT t.id FROM agi_router.tenant t WHERE t.name = %(tenant)s))
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

-- list_alive --
-- Bindings that are alive, newest first: the newest of each block, then of those.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.block k
 CROSS JOIN LATERAL (
       SELECT *
         FROM agi_router.binding o
        -- Not now(), which would have all that live fetched by their expiry, and sorted.
        WHERE o.block = k.block AND o.ended_at IS NULL AND o.expires_at > clock_timestamp()
        ORDER BY o.block DESC, o.id DESC
        LIMIT %(limit)s) b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 ORDER BY b.id DESC
 LIMIT %(limit)s;

-- list_bindings --
-- Bindings, those that are over too, newest first: the newest of each block, then of those.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.block k
 CROSS JOIN LATERAL (
       SELECT *
         FROM agi_router.binding o
        WHERE o.block = k.block
        ORDER BY o.block DESC, o.id DESC
        LIMIT %(limit)s) b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 ORDER BY b.id DESC
 LIMIT %(limit)s;

-- list_order --
-- Bindings of one order, newest first; alive ones only unless all are asked for.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.binding b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE b.order_id = %(order_id)s AND (%(all)s OR b.ended_at IS NULL AND b.expires_at > now())
 ORDER BY b.id DESC
 LIMIT %(limit)s;

-- list_on_number --
-- Bindings of which a side dials one number, newest first; alive ones only unless all are asked for.
SELECT b.*, t.name AS tenant, now() AS now
  FROM (SELECT r.binding_id
          FROM agi_router.route r
         WHERE r.block = %(block)s AND r.x_number = %(x_number)s
         UNION
        SELECT p.binding_id
          FROM agi_router.past_route p
         WHERE %(all)s AND p.block = %(block)s AND p.x_number = %(x_number)s) n
  JOIN agi_router.binding b ON b.block = %(block)s AND b.id = n.binding_id
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE (%(all)s OR b.ended_at IS NULL AND b.expires_at > clock_timestamp())
   AND (%(order_id)s::text IS NULL OR b.order_id = %(order_id)s)
 ORDER BY b.id DESC
 LIMIT %(limit)s;

-- stream_bindings --
-- Bindings in the order of their key; alive ones, those of an order, or of a tenant only if so asked.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.binding b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE (%(all)s OR b.ended_at IS NULL AND b.expires_at > now())
   AND (%(order_id)s::text IS NULL OR b.order_id = %(order_id)s)
   AND (%(tenant)s::text IS NULL OR t.name = %(tenant)s)
 ORDER BY b.block, b.id;

-- list_routes --
-- The routes of some bindings, those included whose place was taken since; not of those who left. Of
-- a child the row of B, and that of A, which its parent holds. binding_id: what they are sealed for.
SELECT b.block, b.id, r.binding_id, r.x_number, r.caller_tag, r.shown, r.side, r.callee, r.caller,
       r.last_callee, r.last_at
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.binding b ON b.block = n.block AND b.id = n.id
  JOIN agi_router.route r ON r.block = b.block AND r.binding_id = coalesce(b.parent_id, b.id)
 WHERE b.parent_id IS NULL OR r.side = 'a' OR r.child_id = b.id
UNION ALL
SELECT p.block, p.binding_id, p.binding_id, p.x_number, p.caller_tag, p.shown, p.side, p.callee, p.caller,
       NULL, NULL
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[]) n (block, id)
  JOIN agi_router.past_route p ON p.block = n.block AND p.binding_id = n.id
 WHERE NOT p.left_group;

-- list_swept_blocks --
-- The blocks, for the sweep.
SELECT block FROM agi_router.block ORDER BY block;

-- mark_expired --
-- Mark bindings that the clock has ended; one that somebody holds has its turn later.
WITH over AS (
    SELECT block, id
      FROM agi_router.binding
     WHERE ended_at IS NULL AND expires_at <= now()
     ORDER BY expires_at
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
), marked AS (
    UPDATE agi_router.binding b
       SET state = 'expired', ended_at = b.expires_at
      FROM over o
     WHERE b.block = o.block AND b.id = o.id
    RETURNING b.id
)
SELECT count(*) AS rows FROM marked;

-- forget_routes --
-- Move routes of some numbers whose binding ended so long ago that nothing rests for it any more.
WITH old AS (
    SELECT r.block, r.x_number, r.caller_tag
      FROM agi_router.route r
      JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
     WHERE r.block = %(block)s AND r.x_number BETWEEN %(first)s AND %(last)s
       AND r.ends_at <= now() - %(memory)s::interval AND b.ended_at IS NOT NULL
     LIMIT %(limit)s
       FOR UPDATE OF r SKIP LOCKED
), gone AS (
    DELETE FROM agi_router.route r
     USING old o
     WHERE r.block = o.block AND r.x_number = o.x_number AND r.caller_tag = o.caller_tag
    RETURNING r.*
), moved AS (
    INSERT INTO agi_router.past_route (block, x_number, caller_tag, binding_id, shown, side, callee,
                                       caller, begins_at, ends_at)
    SELECT block, x_number, caller_tag, binding_id, shown, side, callee, caller, begins_at, ends_at
      FROM gone
    RETURNING binding_id
)
SELECT count(*) AS rows FROM moved;

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
       AND NOT EXISTS (SELECT FROM agi_router.route r WHERE r.block = b.block AND r.binding_id = b.id)
       -- A child has ended with it, and has neither routes nor children. A row that is tied to it otherwise is of a
       -- writer's making: both stay, and the walk goes on.
       AND NOT EXISTS (
           SELECT
             FROM agi_router.binding c
            WHERE c.block = b.block AND c.parent_id = b.id
              AND (c.ended_at IS NULL
                   OR EXISTS (SELECT FROM agi_router.route r WHERE r.block = c.block AND r.binding_id = c.id)
                   OR EXISTS (SELECT FROM agi_router.route r WHERE r.block = c.block AND r.child_id = c.id)
                   OR EXISTS (SELECT FROM agi_router.past_route p WHERE p.block = c.block AND p.binding_id = c.id)
                   OR EXISTS (SELECT FROM agi_router.binding g WHERE g.block = c.block AND g.parent_id = c.id)))
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

-- drop_call_day --
-- Drop the oldest day of calls if all of it is past retention; null where it cannot be had at once.
SELECT agi_router.drop_call_day(((now() - %(retention)s::interval) AT TIME ZONE 'UTC')::date) AS day;
-- list_active_tenants --
-- The active tenants.
SELECT id, name FROM agi_router.tenant WHERE active;

-- list_all_open_blocks --
-- The blocks that take new bindings, each with the tenant it is kept for.
SELECT block, tenant_id
  FROM agi_router.block k
 WHERE agi_router.why_closed(k, NULL, NULL, now()) IS NULL
 ORDER BY block;

-- try_lock_imports --
-- Keep other imports off until the transaction ends, unless one is running.
SELECT pg_try_advisory_xact_lock(7002026) AS locked;

-- lock_imports --
-- Keep other imports off until the transaction ends; waits for the one that is running.
SELECT pg_advisory_xact_lock(7002026);

-- steer_import --
-- Until the transaction ends, look up by index: nobody has analysed what is just being loaded.
SELECT set_config('enable_seqscan', 'off', true);

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
       SELECT
         FROM agi_router.binding b
        WHERE b.order_id = n.order_id AND b.order_tag = n.order_tag
        LIMIT 1) b;

-- find_bound_single --
-- Whether an order with its parties is bound already, or once was; by this extension, if one is asked for.
SELECT
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
              nullif(greatest(r.ends_at + %(party_rest)s::interval, t.now), t.now) AS until
         FROM agi_router.route r
         JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
        WHERE r.block = n.x_number / 10000 AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag
        LIMIT 1) h;

-- find_closed_numbers --
-- Which of these numbers rest, and until when; or, null, have strangers as callers and nobody else.
SELECT n.x_number, max(e.ends_at) + %(rest)s::interval AS until
  FROM (SELECT clock_timestamp() AS now OFFSET 0) t
 CROSS JOIN unnest(%(x_number)s::bigint[]) n (x_number)
 CROSS JOIN LATERAL (
       (SELECT r.ends_at
          FROM agi_router.route r
         WHERE r.block = n.x_number / 10000 AND r.x_number = n.x_number
           AND r.ends_at > t.now - %(rest)s::interval AND r.ends_at <= t.now
         ORDER BY r.ends_at DESC
         LIMIT 1)
       UNION ALL
       (SELECT r.ends_at
          FROM agi_router.past_route r
         WHERE r.block = n.x_number / 10000 AND r.x_number = n.x_number
           AND r.ends_at > t.now - %(rest)s::interval AND r.ends_at <= t.now
         ORDER BY r.ends_at DESC
         LIMIT 1)) e
 GROUP BY 1
UNION ALL
SELECT DISTINCT b.open_number, NULL::timestamptz
  FROM unnest(%(x_number)s::bigint[]) n (x_number)
  JOIN agi_router.binding b ON b.block = n.x_number / 10000 AND b.open_number = n.x_number
 WHERE b.open_number IS NOT NULL AND b.ended_at IS NULL AND b.expires_at > clock_timestamp();

-- find_foreign_numbers --
-- On which of these numbers bindings of other tenants are, or were so lately that something rests for them.
SELECT n.x_number
  FROM (SELECT clock_timestamp() AS now OFFSET 0) t
 CROSS JOIN unnest(%(x_number)s::bigint[]) n (x_number)
 WHERE EXISTS (SELECT
                 FROM (SELECT r.block, r.binding_id
                         FROM agi_router.route r
                        WHERE r.block = n.x_number / 10000 AND r.x_number = n.x_number
                          AND r.ends_at > t.now - %(memory)s::interval
                        UNION ALL
                       SELECT p.block, p.binding_id
                         FROM agi_router.past_route p
                        WHERE p.block = n.x_number / 10000 AND p.x_number = n.x_number
                          AND p.ends_at > t.now - %(memory)s::interval) o
                 JOIN agi_router.binding b ON b.block = o.block AND b.id = o.binding_id
                 JOIN agi_router.tenant w ON w.id = b.tenant_id
                WHERE w.name <> %(tenant)s);

-- lock_open_blocks --
-- Of some blocks those that take new bindings; they will until the transaction ends.
SELECT block
  FROM agi_router.block k
 WHERE block = ANY (%(block)s) AND agi_router.why_closed(k, NULL, NULL, now()) IS NULL
 ORDER BY block
   FOR KEY SHARE;

-- copy_bindings --
-- Load bindings that are new.
COPY agi_router.binding (block, id, order_tag, expires_at, order_id,
                         tenant_id, mode, callback, callback_window, max_calls, counting, direction,
                         ring_timeout, max_duration, language, display_a, display_b, prompts)
FROM STDIN (FORMAT binary);

-- copy_routes --
-- Load their routes.
COPY agi_router.route (block, binding_id, x_number, caller_tag, shown, ends_at, callee, caller, side)
FROM STDIN (FORMAT binary);

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

-- record_revelation --
-- Write down that somebody has real numbers shown to him.
INSERT INTO agi_router.audit (uid, name, effective_uid, login_uid, claimed, host, act, subject, reason)
VALUES (%(uid)s, %(name)s, %(effective_uid)s, %(login_uid)s, %(claimed)s, %(host)s, %(act)s, %(subject)s,
        %(reason)s);

-- list_audit --
-- Who had real numbers shown to him since a time, newest first.
SELECT at, uid, name, effective_uid, login_uid, claimed, host, act, subject, reason
  FROM agi_router.audit
 WHERE at >= %(since)s
 ORDER BY id DESC
 LIMIT %(limit)s;

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

-- now --
-- The database's clock, which alone judges expiry; and the process that serves us.
SELECT clock_timestamp(), pg_backend_pid() AS backend;

-- look_at_session --
-- What nobody reports unasked: the process that serves us, and whether it heeds triggers.
SELECT pg_backend_pid() AS backend, current_setting('session_replication_role') AS replication_role;

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

-- list_rights --
-- What a role needs that serves and binds, and whether it has it: no more than is here, and nothing to own.
SELECT n.kind, n.name, p.privilege,
       CASE n.kind
            WHEN 'schema' THEN has_schema_privilege(%(role)s::name, n.name, p.privilege)
            WHEN 'table' THEN has_table_privilege(%(role)s::name, n.name, p.privilege)
            WHEN 'sequence' THEN has_sequence_privilege(%(role)s::name, n.name, p.privilege)
            ELSE has_function_privilege(%(role)s::name, n.name, p.privilege) END AS held
  FROM (VALUES
       ('schema', 'agi_router', 'USAGE'),
       ('table', 'agi_router.migration', 'SELECT'),
       ('table', 'agi_router.key', 'SELECT, INSERT, UPDATE'),
       ('table', 'agi_router.tenant', 'SELECT, INSERT, UPDATE'),
       ('table', 'agi_router.block', 'SELECT, INSERT, UPDATE'),
       ('table', 'agi_router.binding', 'SELECT, INSERT, UPDATE, DELETE'),
       ('table', 'agi_router.route', 'SELECT, INSERT, UPDATE, DELETE'),
       ('table', 'agi_router.past_route', 'SELECT, INSERT, UPDATE, DELETE'),
       ('table', 'agi_router.call', 'SELECT, INSERT, UPDATE'),
       ('table', 'agi_router.call_other', 'SELECT, DELETE'),
       ('table', 'agi_router.audit', 'SELECT, INSERT'),
       ('table', 'agi_router.node', 'SELECT, INSERT, UPDATE'),
       ('sequence', 'agi_router.binding_id', 'USAGE'),
       ('sequence', 'agi_router.seals', 'SELECT, USAGE'),
       ('function', 'agi_router.ensure_call_days(date, date)', 'EXECUTE'),
       ('function', 'agi_router.drop_call_day(date)', 'EXECUTE')) n (kind, name, privileges)
 CROSS JOIN LATERAL regexp_split_to_table(n.privileges, ', ') p (privilege);

-- grant_right --
-- Give a role one of them.
SELECT agi_router.grant_right(%(role)s, %(kind)s, %(name)s, %(privilege)s);

-- find_role --
-- Whether there is a role, and whether it may do all that the schema's owner may; no row: there is none.
SELECT pg_has_role(r.oid, n.nspowner, 'USAGE') AS owns
  FROM pg_catalog.pg_roles r
 CROSS JOIN pg_catalog.pg_namespace n
 WHERE r.rolname = coalesce(%(role)s::name, current_user) AND n.nspname = 'agi_router';

-- list_granted_roles --
-- The roles that were given these rights: they may drop days of calls, as nobody else but the owner may.
SELECT r.rolname AS role
  FROM pg_catalog.pg_proc f
 CROSS JOIN LATERAL aclexplode(f.proacl) a
  JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
 WHERE f.oid = 'agi_router.drop_call_day(date)'::regprocedure AND a.grantee <> f.proowner
 ORDER BY r.rolname;

-- lock_migrations --
-- One migrates at a time; the others wait.
SELECT pg_advisory_lock(7002025);

-- unlock_migrations --
-- Let the next one migrate.
SELECT pg_advisory_unlock(7002025);
