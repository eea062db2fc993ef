-- Bindings and their routes, one by one; and their renewal under new keys.

-- list_prompt_sets --
-- Sets of prompts that bindings name, of the ten thousand that live longest.
SELECT DISTINCT live.prompts
  FROM (SELECT prompts FROM agi_router.binding
         WHERE ended_at IS NULL AND expires_at > now()
         ORDER BY expires_at DESC LIMIT 10000) AS live
 WHERE live.prompts IS NOT NULL
 ORDER BY live.prompts;

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

-- evict_ended_routes --
-- Move the routes of ended bindings out of these places; route_pkey is violated where one lives.
SELECT agi_router.evict_ended_routes(%(block)s, %(x_number)s::bigint[], %(caller_tag)s::bigint[]);

-- list_unrenewed --
-- The next few of those bindings.
SELECT b.block, b.id
  FROM agi_router.binding b
 CROSS JOIN LATERAL agi_router.find_unrenewed(b.block, b.id, %(header)s::bytea) u
 WHERE (b.block, b.id) > (%(block)s::bigint, %(id)s::bigint) AND (%(over)s OR b.ended_at IS NULL)
 ORDER BY b.block, b.id
 LIMIT %(limit)s;

-- lock_bindings --
-- Keep calls and changes off some bindings until the transaction ends; says which are over, and of
-- whom it is known by what their rows are tagged.
SELECT b.block, b.id, b.ended_at IS NOT NULL OR b.expires_at <= clock_timestamp() AS over,
       b.mode, b.extension, b.y_ttl, b.party_group, b.order_id, b.order_tag, b.pair_tag, t.name AS tenant
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
-- The routes of some bindings that were taken out of use, those of members who left and of parties before one of them
-- was replaced included.
SELECT p.block, p.binding_id, p.x_number, p.caller_tag, p.shown, p.side, p.callee, p.caller,
       p.removed_at, p.left_group, p.ends_at
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
   SET caller_tag = n.tag, callee = n.callee, callee_tags = n.callee_tags::bigint[], caller = n.caller,
       last_callee = n.last_callee, last_tag = n.last_tag
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[], %(x_number)s::bigint[], %(caller_tag)s::bigint[],
              %(tag)s::bigint[], %(callee)s::bytea[], %(callee_tags)s::text[], %(caller)s::bytea[],
              %(last_callee)s::bytea[], %(last_tag)s::bigint[])
       n (block, id, x_number, caller_tag, tag, callee, callee_tags, caller, last_callee, last_tag)
 WHERE r.block = n.block AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag
   AND r.binding_id = n.id;

-- renew_past_routes --
-- The same for routes that were taken out of use.
UPDATE agi_router.past_route p
   SET caller_tag = n.tag, callee = n.callee, callee_tags = n.callee_tags::bigint[], caller = n.caller
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[], %(x_number)s::bigint[], %(caller_tag)s::bigint[],
              %(removed_at)s::timestamptz[], %(tag)s::bigint[], %(callee)s::bytea[],
              %(callee_tags)s::text[], %(caller)s::bytea[])
       n (block, id, x_number, caller_tag, removed_at, tag, callee, callee_tags, caller)
 WHERE p.block = n.block AND p.x_number = n.x_number AND p.caller_tag = n.caller_tag
   AND p.binding_id = n.id AND p.removed_at = n.removed_at;

-- retire_routes --
-- Take routes of bindings that are over out of the way of newer ones; says when, which is part of their name from now on.
SELECT *
  FROM agi_router.retire_routes(%(block)s::bigint[], %(x_number)s::bigint[], %(caller_tag)s::bigint[],
                                %(id)s::bigint[], NULL);

-- tag_bindings --
-- Give bindings their new tags, of their orders and of their parties.
UPDATE agi_router.binding b
   SET order_tag = n.order_tag, pair_tag = n.pair_tag
  FROM unnest(%(block)s::bigint[], %(id)s::bigint[], %(order_tag)s::bigint[], %(pair_tag)s::bigint[])
       n (block, id, order_tag, pair_tag)
 WHERE b.block = n.block AND b.id = n.id;

-- choose_x --
-- Of candidate numbers of one block, one that can be had.
SELECT x_number
  FROM agi_router.choose_x(%(block)s, %(x_number)s::bigint[], %(tags)s::bigint[],
                           %(number_quarantine)s::interval, %(party_quarantine)s::interval, 4);

-- count_met --
-- On how many of some numbers of one block a caller with one of these tags is, or was of late.
SELECT *
  FROM agi_router.count_met(%(block)s, %(x_number)s::bigint[], %(tags)s::bigint[], %(party_quarantine)s::interval);

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
       %(block)s, %(id)s, %(place_x)s::bigint[], %(place_tag)s::bigint[], %(place)s::integer[],
       %(number_quarantine)s, %(party_quarantine)s, clock_timestamp())
 ORDER BY until DESC;

-- bind_drawn --
-- Make bindings on numbers that were drawn for them; see agi_router.bind_drawn.
SELECT *
  FROM agi_router.bind_drawn(
       %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(tenant_id)s::integer, %(digit)s::integer, %(terms)s::jsonb,
       %(life)s::interval, %(longest)s, %(number_quarantine)s, %(party_quarantine)s, %(scope)s::integer,
       %(rules)s::jsonb, %(stride)s::integer, %(id)s::bigint[], %(drawn)s::bigint[], %(tags)s::text[], %(place)s::integer[],
       %(x_number)s::bigint[], %(caller_tag)s::bigint[], %(shown)s::bigint[], %(side)s::text[],
       %(callee)s::bytea[], %(callee_tags)s::text[], %(caller)s::bytea[]);

-- bind --
-- Make a binding with its routes; no row where its block is closed to it or a number rests.
-- route_pkey is violated where a live binding is in the way. place: see agi_router.bind.
SELECT *
  FROM agi_router.bind(
       %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(terms)s, %(number_quarantine)s,
       %(party_quarantine)s,
       %(x_number)s::bigint[], %(caller_tag)s::bigint[], %(shown)s::bigint[], %(side)s::text[],
       %(callee)s::bytea[], %(callee_tags)s::text[], %(caller)s::bytea[],
       %(place_x)s::bigint[], %(place_tag)s::bigint[], %(place)s::integer[]) AS made (begins_at);

-- add_routes --
-- Add routes to a binding; route_pkey is violated where a live binding is in the way.
SELECT agi_router.add_routes(
    %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(id)s, %(x_number)s::bigint[],
    %(caller_tag)s::bigint[], %(shown)s::bigint[], %(side)s::text[], %(callee)s::bytea[],
    %(callee_tags)s::text[], %(caller)s::bytea[], %(place_x)s::bigint[], %(place_tag)s::bigint[]);

-- replace_parties --
-- Give a locked binding other parties; see agi_router.replace_parties.
SELECT agi_router.replace_parties(
    %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(id)s, %(order_tag)s::bigint, %(pair_tag)s::bigint,
    %(x_number)s::bigint[], %(caller_tag)s::bigint[], %(shown)s::bigint[], %(side)s::text[], %(callee)s::bytea[],
    %(callee_tags)s::text[], %(caller)s::bytea[], %(place_x)s::bigint[], %(place_tag)s::bigint[], %(counted)s);

-- remove_route --
-- Take the route of a member who leaves out of a binding that lives on.
SELECT binding_id
  FROM agi_router.retire_routes(ARRAY[%(block)s::bigint], ARRAY[%(x_number)s::bigint],
                                ARRAY[%(caller_tag)s::bigint], ARRAY[%(id)s::bigint],
                                statement_timestamp());

-- set_callee --
-- Say anew whom a route rings, null: nobody; and perhaps forget the last caller.
UPDATE agi_router.route r
   SET callee = %(callee)s,
       callee_tags = %(callee_tags)s,
       last_callee = CASE WHEN NOT %(forget)s THEN last_callee END,
       last_tag = CASE WHEN NOT %(forget)s THEN last_tag END,
       last_at = CASE WHEN NOT %(forget)s THEN last_at END
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) k
 WHERE block = %(block)s AND x_number = %(x_number)s AND caller_tag = %(caller_tag)s
   AND binding_id = %(id)s
RETURNING binding_id;

-- lock_binding --
-- Keep calls and other changes off a binding until the transaction ends; no row if it is over or outside the scope.
-- Bindings in the way of these (number, caller) pairs are locked too, in the order of all who do.
WITH locked AS (
    SELECT b.id, b.tenant_id, b.mode, b.callback, b.party_group, b.version, b.ended_at, b.expires_at
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
SELECT mode, callback, party_group, version
  FROM locked
 WHERE id = %(id)s AND ended_at IS NULL AND expires_at > clock_timestamp()
   AND agi_router.in_scope(tenant_id, %(scope)s);

-- find_conflict --
-- The bindings within the scope that hold any of these (number, caller) pairs.
SELECT r.x_number, r.caller_tag, r.binding_id
  FROM unnest(%(x_number)s::bigint[], %(caller_tag)s::bigint[]) n (x_number, caller_tag)
  JOIN agi_router.route r
    ON r.block = %(block)s AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag
  JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
 WHERE b.ended_at IS NULL AND b.expires_at > now() AND agi_router.in_scope(b.tenant_id, %(scope)s);

-- find_others --
-- The live bindings within the scope that share a number with routes where one side is to be alone on it.
SELECT DISTINCT o.x_number, o.binding_id
  FROM agi_router.route o
  JOIN agi_router.binding p ON p.block = o.block AND p.id = o.binding_id
 WHERE o.block = %(block)s AND o.x_number = ANY (%(x_number)s)
   AND p.ended_at IS NULL AND p.expires_at > now() AND agi_router.in_scope(p.tenant_id, %(scope)s)
   AND NOT (p.mode = 'axe' AND %(mode)s = 'axe')
 ORDER BY 1, 2
 LIMIT 3;

-- find_foreign_numbers --
-- On which of these numbers bindings of other tenants are, or were so lately that something rests for them.
SELECT n.x_number
  FROM (SELECT clock_timestamp() AS now OFFSET 0) t
 CROSS JOIN unnest(%(x_number)s::bigint[]) n (x_number)
 WHERE EXISTS (SELECT 1
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

-- list_free --
-- Of some numbers of one block, those on which a binding that strangers may call can be made.
SELECT *
  FROM agi_router.list_free(%(block)s, %(x_number)s::bigint[], %(mode)s);

-- list_taken --
-- Those of some callers' places on a number that are taken, or were and are not free for others yet.
SELECT caller_tag
  FROM agi_router.route
 WHERE block = %(block)s AND x_number = %(x_number)s AND caller_tag = ANY (%(caller_tag)s);

-- unbind --
-- End a binding that is alive; no row if it is over, has another version or was never made.
SELECT * FROM agi_router.unbind(%(block)s, %(id)s, %(version)s::integer, %(scope)s);

-- end_carried --
-- End a binding that is held by this transaction, as its parties are bound anew.
SELECT * FROM agi_router.end_carried(%(block)s, %(id)s, %(version)s::integer, %(scope)s);

-- end_order --
-- End all bindings of an order that are alive.
SELECT * FROM agi_router.end_order(%(order_id)s, %(scope)s);

-- change --
-- Change columns of a binding that is alive; one word tells what came of it.
SELECT *
  FROM agi_router.change(%(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(id)s, %(changes)s, %(version)s,
                         %(longest)s, %(scope)s);

-- raise_version --
-- Say that what is agreed has changed, of a binding that is locked.
UPDATE agi_router.binding SET version = version + 1 WHERE block = %(block)s AND id = %(id)s;

-- extend --
-- Move the end of a binding that is alive to a later time; no row if it is over, or would end earlier.
SELECT * FROM agi_router.extend(%(block)s, %(id)s, %(expires_at)s, %(scope)s);

-- find_binding --
-- One binding.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.binding b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE b.block = %(block)s AND b.id = %(id)s AND agi_router.in_scope(b.tenant_id, %(scope)s);

-- list_alive --
-- Bindings that are alive, newest first: the newest of each tenant, then of those.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.tenant t
 CROSS JOIN LATERAL (
       SELECT *
         FROM agi_router.binding o
        WHERE o.tenant_id = t.id
          -- Not now(), which would have all that live fetched by their expiry, and sorted.
          AND o.ended_at IS NULL AND o.expires_at > clock_timestamp()
          AND agi_router.is_listed(
              o.block, o.id, o.mode, o.state, o.begins_at, o.expires_at, o.ended_at,
              %(state)s::text, %(mode)s::text, %(created_after)s::timestamptz, %(after_at)s::timestamptz,
              %(after_block)s::bigint, %(after_id)s::bigint)
        ORDER BY o.begins_at DESC, o.block DESC, o.id DESC
        LIMIT %(limit)s) b
 WHERE agi_router.in_scope(t.id, %(scope)s)
 ORDER BY b.begins_at DESC, b.block DESC, b.id DESC
 LIMIT %(limit)s;

-- list_bindings --
-- Bindings, those that are over too, newest first: the newest of each tenant, then of those.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.tenant t
 CROSS JOIN LATERAL (
       SELECT *
         FROM agi_router.binding o
        WHERE o.tenant_id = t.id
          AND agi_router.is_listed(
              o.block, o.id, o.mode, o.state, o.begins_at, o.expires_at, o.ended_at,
              %(state)s::text, %(mode)s::text, %(created_after)s::timestamptz, %(after_at)s::timestamptz,
              %(after_block)s::bigint, %(after_id)s::bigint)
        ORDER BY o.begins_at DESC, o.block DESC, o.id DESC
        LIMIT %(limit)s) b
 WHERE agi_router.in_scope(t.id, %(scope)s)
 ORDER BY b.begins_at DESC, b.block DESC, b.id DESC
 LIMIT %(limit)s;

-- list_order --
-- Bindings of one order, newest first; alive ones only unless all are asked for.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.binding b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE b.order_id = %(order_id)s AND (%(all)s OR b.ended_at IS NULL AND b.expires_at > now())
   AND agi_router.in_scope(b.tenant_id, %(scope)s)
   AND agi_router.is_listed(
       b.block, b.id, b.mode, b.state, b.begins_at, b.expires_at, b.ended_at,
       %(state)s::text, %(mode)s::text, %(created_after)s::timestamptz, %(after_at)s::timestamptz,
       %(after_block)s::bigint, %(after_id)s::bigint)
 ORDER BY b.begins_at DESC, b.block DESC, b.id DESC
 LIMIT %(limit)s;

-- lock_order --
-- Wait until nobody else binds the same parties for the same order, and hold that until the transaction's end.
SELECT agi_router.hold_order(%(order_tag)s::bigint[]);

-- find_in_order --
-- The newest live binding of an order with its parties; on one number, if that is asked for.
SELECT *
  FROM agi_router.find_in_order(%(order_id)s, %(order_tag)s::bigint[], %(pool)s::text, %(x_number)s::bigint, %(scope)s);

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
   AND agi_router.in_scope(b.tenant_id, %(scope)s)
   AND agi_router.is_listed(
       b.block, b.id, b.mode, b.state, b.begins_at, b.expires_at, b.ended_at,
       %(state)s::text, %(mode)s::text, %(created_after)s::timestamptz, %(after_at)s::timestamptz,
       %(after_block)s::bigint, %(after_id)s::bigint)
 ORDER BY b.begins_at DESC, b.block DESC, b.id DESC
 LIMIT %(limit)s;

-- list_of_party --
-- Bindings with a party, or a fixed number to call back, of one of these tags, perhaps on one number only; newest
-- first, alive ones only unless all are asked for. A callee has no row of its own only where caller is not null.
SELECT b.*, t.name AS tenant, now() AS now
  FROM (SELECT DISTINCT o.block, o.binding_id
          FROM (SELECT r.block, r.binding_id, r.x_number
                  FROM agi_router.route r
                 WHERE r.caller_tag = ANY (%(tags)s)
                UNION ALL
                SELECT r.block, r.binding_id, r.x_number
                  FROM agi_router.route r
                 WHERE r.callee_tags[1] = ANY (%(tags)s) AND r.caller IS NOT NULL
                UNION ALL
                SELECT p.block, p.binding_id, p.x_number
                  FROM agi_router.past_route p
                 WHERE %(all)s AND p.caller_tag = ANY (%(tags)s) AND NOT p.left_group
                UNION ALL
                SELECT p.block, p.binding_id, p.x_number
                  FROM agi_router.past_route p
                 WHERE %(all)s AND p.callee_tags[1] = ANY (%(tags)s) AND p.caller IS NOT NULL
                   AND NOT p.left_group) o
         WHERE %(x_number)s::bigint IS NULL OR o.x_number = %(x_number)s) n
  JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE (%(all)s OR b.ended_at IS NULL AND b.expires_at > clock_timestamp())
   AND (%(order_id)s::text IS NULL OR b.order_id = %(order_id)s)
   AND agi_router.in_scope(b.tenant_id, %(scope)s)
   AND agi_router.is_listed(
       b.block, b.id, b.mode, b.state, b.begins_at, b.expires_at, b.ended_at,
       %(state)s::text, %(mode)s::text, %(created_after)s::timestamptz, %(after_at)s::timestamptz,
       %(after_block)s::bigint, %(after_id)s::bigint)
 ORDER BY b.begins_at DESC, b.block DESC, b.id DESC
 LIMIT %(limit)s;

-- stream_bindings --
-- Bindings in the order of their key; alive ones or those of an order only if so asked.
SELECT b.*, t.name AS tenant, now() AS now
  FROM agi_router.binding b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE (%(all)s OR b.ended_at IS NULL AND b.expires_at > now())
   AND (%(order_id)s::text IS NULL OR b.order_id = %(order_id)s)
   AND agi_router.in_scope(b.tenant_id, %(scope)s)
 ORDER BY b.block, b.id;

-- list_routes --
-- The routes of some bindings, those included whose place was taken since; not of those who left.
SELECT * FROM agi_router.list_routes(%(block)s::bigint[], %(id)s::bigint[]);

-- add_pool --
-- Add a pool; no row if its tenant has one of this name.
INSERT INTO agi_router.pool (tenant_id, name, blocks, operator_digit, mode, callback, callback_window, language, prompts)
VALUES (%(tenant_id)s, %(name)s, %(blocks)s::bigint[], %(operator_digit)s, %(mode)s, %(callback)s, %(callback_window)s,
        %(language)s, %(prompts)s)
    ON CONFLICT (tenant_id, name) DO NOTHING
RETURNING id;

-- list_pools --
-- Pools, those that were added last before others: of one tenant or of all in the scope, of one name, behind one of them.
SELECT p.*, t.name AS tenant
  FROM agi_router.pool p
  JOIN agi_router.tenant t ON t.id = p.tenant_id
 WHERE agi_router.in_scope(p.tenant_id, %(scope)s)
   AND (%(tenant)s::text IS NULL OR t.name = %(tenant)s)
   AND (%(name)s::text IS NULL OR p.name = %(name)s)
   AND (%(after_at)s::timestamptz IS NULL OR (p.created_at, p.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY p.created_at DESC, p.id DESC
 LIMIT %(limit)s;

-- change_pool --
-- Say anew what a pool is; no row if it has another version than the one given, or there is none.
UPDATE agi_router.pool
   SET blocks = %(blocks)s::bigint[], operator_digit = %(operator_digit)s, mode = %(mode)s, callback = %(callback)s,
       callback_window = %(callback_window)s, language = %(language)s, prompts = %(prompts)s, version = version + 1
 WHERE id = %(id)s AND version = %(version)s AND agi_router.in_scope(tenant_id, %(scope)s)
RETURNING id;

-- remove_pool --
-- Forget a pool; no row if there is none, or it has another version.
DELETE FROM agi_router.pool
 WHERE id = %(id)s AND agi_router.in_scope(tenant_id, %(scope)s)
   AND (%(version)s::integer IS NULL OR version = %(version)s)
RETURNING id;

-- count_kept_blocks --
-- How many of some blocks are ours, and not kept for another than one tenant.
SELECT count(*) AS blocks
  FROM agi_router.block k
 WHERE k.block = ANY (%(blocks)s::bigint[]) AND coalesce(k.tenant_id, %(tenant_id)s) = %(tenant_id)s;

-- add_group --
-- Add a party group; no row if its tenant has one of this name.
INSERT INTO agi_router.party_group (tenant_id, name, label)
VALUES (%(tenant_id)s, %(name)s, %(label)s)
    ON CONFLICT (tenant_id, name) DO NOTHING
RETURNING id;

-- list_groups --
-- Party groups, those that were added last before others: of one tenant or of all in the scope, of one name or number,
-- behind one of them; with the number of bindings that live.
SELECT g.id, g.name, g.label, g.created_at, g.version, t.name AS tenant,
       (SELECT count(*)
          FROM agi_router.binding b
         WHERE b.tenant_id = g.tenant_id AND b.party_group = g.name AND b.ended_at IS NULL
           AND b.expires_at > clock_timestamp()) AS bindings
  FROM agi_router.party_group g
  JOIN agi_router.tenant t ON t.id = g.tenant_id
 WHERE agi_router.in_scope(g.tenant_id, %(scope)s)
   AND (%(tenant)s::text IS NULL OR t.name = %(tenant)s)
   AND (%(name)s::text IS NULL OR g.name = %(name)s)
   AND (%(id)s::integer IS NULL OR g.id = %(id)s)
   AND (%(after_at)s::timestamptz IS NULL OR (g.created_at, g.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY g.created_at DESC, g.id DESC
 LIMIT %(limit)s;

-- list_group_members --
-- The members of some party groups, each group's in their order.
SELECT m.group_id, m.tag, m.sealed, m.added_at
  FROM agi_router.group_member m
 WHERE m.group_id = ANY (%(group_id)s::integer[])
 ORDER BY m.group_id, m.place;

-- share_group --
-- Keep changes off a party group until the transaction ends; others may bind by it at the same time.
SELECT g.id, g.tenant_id
  FROM agi_router.party_group g
  JOIN agi_router.tenant t ON t.id = g.tenant_id
 WHERE t.name = %(tenant)s AND g.name = %(name)s AND agi_router.in_scope(g.tenant_id, %(scope)s)
   FOR SHARE OF g;

-- lock_group --
-- Keep changes and binds off a party group until the transaction ends.
SELECT g.id, g.tenant_id, g.name, g.version, t.name AS tenant
  FROM agi_router.party_group g
  JOIN agi_router.tenant t ON t.id = g.tenant_id
 WHERE t.name = %(tenant)s AND g.name = %(name)s AND agi_router.in_scope(g.tenant_id, %(scope)s)
   FOR UPDATE OF g;

-- is_group_full --
-- Whether so many bindings or more that nothing has ended yet are by a party group.
SELECT count(*) >= %(limit)s AS crowded
  FROM (SELECT b.id
          FROM agi_router.binding b
         WHERE b.tenant_id = %(tenant_id)s AND b.party_group = %(name)s AND b.ended_at IS NULL
         LIMIT %(limit)s) n;

-- is_group_used --
-- Whether a binding by a party group lives. One that is about to expire may just be extended: that is waited for.
WITH held AS (
    SELECT b.ended_at, b.expires_at
      FROM agi_router.binding b
     WHERE b.tenant_id = %(tenant_id)s AND b.party_group = %(name)s AND b.ended_at IS NULL
     ORDER BY b.block, b.id
       FOR NO KEY UPDATE
)
SELECT count(*) > 0 AS used FROM held WHERE ended_at IS NULL AND expires_at > clock_timestamp();

-- list_group_bindings --
-- The bindings by a party group that nothing has ended yet, and which of them the clock has.
SELECT b.block, b.id, b.mode, b.callback, b.version, b.expires_at <= clock_timestamp() AS over
  FROM agi_router.binding b
 WHERE b.tenant_id = %(tenant_id)s AND b.party_group = %(name)s AND b.ended_at IS NULL
 ORDER BY b.block, b.id;

-- hold_group_bindings --
-- Keep calls and changes off bindings of one block, and off those in the way of new members; see the function.
SELECT *
  FROM agi_router.hold_group_bindings(
       %(block)s, %(id)s::bigint[], %(place_x)s::bigint[], %(place_tag)s::bigint[], %(place_id)s::bigint[],
       %(party_quarantine)s);

-- change_group_bindings --
-- Write what a party group's change makes of its bindings in one block; see the function.
SELECT agi_router.change_group_bindings(
    %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(id)s::bigint[], %(leaving)s::bigint[],
    %(left)s::bigint[], %(binding_id)s::bigint[], %(x_number)s::bigint[], %(caller_tag)s::bigint[],
    %(shown)s::bigint[], %(callee)s::bytea[], %(callee_tags)s::text[], %(caller)s::bytea[],
    %(place_x)s::bigint[], %(place_tag)s::bigint[], %(back_id)s::bigint[], %(back_callee)s::bytea[],
    %(back_tags)s::text[]);

-- delete_group_members --
-- Forget who is in a party group.
DELETE FROM agi_router.group_member WHERE group_id = %(group_id)s;

-- add_group_members --
-- Say who is in a party group, in their order.
INSERT INTO agi_router.group_member (group_id, tag, place, sealed, added_at)
SELECT %(group_id)s, n.tag, n.place, n.sealed, coalesce(n.added_at, statement_timestamp())
  FROM unnest(%(tag)s::bigint[], %(sealed)s::bytea[], %(added_at)s::timestamptz[])
       WITH ORDINALITY n (tag, sealed, added_at, place);

-- change_group --
-- Say that a party group has changed, and perhaps what it is labelled by.
UPDATE agi_router.party_group
   SET label = CASE WHEN %(relabel)s THEN %(label)s ELSE label END, version = nextval('agi_router.group_version')
 WHERE id = %(group_id)s;

-- remove_group --
-- Forget a party group and who is in it.
DELETE FROM agi_router.party_group WHERE id = %(group_id)s;

-- set_party_group --
-- Say by which party group a locked binding is.
UPDATE agi_router.binding SET party_group = %(party_group)s WHERE block = %(block)s AND id = %(id)s;

-- list_unrenewed_groups --
-- The party groups with a member that is sealed or tagged with other keys than those of a header, or by the other cipher.
SELECT DISTINCT m.group_id
  FROM agi_router.group_member m
 WHERE agi_router.sealed_otherwise(m.sealed, %(header)s::bytea)
 ORDER BY m.group_id
 LIMIT %(limit)s;

-- lock_group_by_id --
-- Keep changes and binds off a party group until the transaction ends.
SELECT g.id FROM agi_router.party_group g WHERE g.id = %(group_id)s FOR UPDATE;
