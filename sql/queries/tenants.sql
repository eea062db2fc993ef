-- Tenants, and the API keys of theirs and of the operator's.

-- add_tenant --
-- Add a tenant; no row if it is there already.
INSERT INTO agi_router.tenant (name, needs_order, consent) VALUES (%(name)s, %(needs_order)s, %(consent)s)
    ON CONFLICT DO NOTHING
RETURNING id;

-- list_tenants --
-- The tenants, or one, with the number of blocks kept for each, newest first: all, or a page.
SELECT t.id, t.name, t.active, t.unknown_numbers, t.max_bindings, t.max_binds, t.max_requests, t.created_at,
       nullif(t.qualified_from, '-infinity') AS qualified_from, nullif(t.qualified_until, 'infinity') AS qualified_until,
       t.qualification, t.qualified_by, t.needs_order, t.scenes, t.max_pair_binds, t.max_order_pairs, t.refuses_pairs,
       t.hours, t.time_zone, t.call_limits, t.bind_limits, t.record,
       t.consent, t.needs_real_name, t.notice,
       (SELECT count(*) FROM agi_router.block k WHERE k.tenant_id = t.id) AS blocks
  FROM agi_router.tenant t
 WHERE agi_router.in_scope(t.id, %(scope)s) AND (%(name)s::text IS NULL OR t.name = %(name)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR t.created_at < %(after_at)s OR t.created_at = %(after_at)s AND t.id > %(after_id)s::bigint)
 ORDER BY t.created_at DESC, t.id
 LIMIT %(limit)s;

-- set_tenant_active --
-- Suspend a tenant, or let it go on; no row if there is none of this name.
UPDATE agi_router.tenant
   SET active = %(active)s
 WHERE name = %(name)s
RETURNING id;

-- set_tenant_unknown_numbers --
-- Say what becomes of a tenant's bindings where the owner of a number is unknown; no row if there is no such tenant.
UPDATE agi_router.tenant
   SET unknown_numbers = %(unknown)s
 WHERE name = %(name)s
RETURNING id;

-- set_tenant_notice --
-- Say whether both parties of a tenant's calls hear the anti-fraud notice; no row if there is no such tenant.
UPDATE agi_router.tenant
   SET notice = %(notice)s
 WHERE name = %(name)s
RETURNING id;

-- list_active_tenants --
-- The active tenants whose qualification is valid, and whether they have quotas, rules of their own beside orders,
-- and are held to consent.
SELECT id, name, limited, ruled, consent <> 'off' AS asks_consent
  FROM agi_router.tenant
 WHERE active AND qualified_from <= clock_timestamp() AND qualified_until > clock_timestamp();

-- hold_unruled --
-- Those of some tenants that have rules of their own beside orders; until the transaction ends no other gets any.
WITH held AS (
    SELECT t.name, t.ruled FROM agi_router.tenant t WHERE t.id = ANY (%(tenants)s::integer[]) ORDER BY t.id FOR SHARE
)
SELECT h.name FROM held h WHERE h.ruled;

-- qualify_tenant --
-- Say until when a tenant is qualified, by which paper of whom; no row if there is no such tenant.
UPDATE agi_router.tenant
   SET qualified_from = coalesce(%(valid_from)s::timestamptz, '-infinity'),
       qualified_until = coalesce(%(valid_until)s::timestamptz, 'infinity'),
       qualification = %(number)s, qualified_by = %(issuer)s
 WHERE name = %(name)s
RETURNING id;

-- set_tenant_rules --
-- Say what the bindings of a tenant are to keep to; null: as it was; 0, or rates without any: no limit. No row if there is no such tenant.
UPDATE agi_router.tenant
   SET needs_order = coalesce(%(needs_order)s, needs_order),
       scenes = coalesce(%(scenes)s::text[], scenes),
       max_pair_binds = nullif(coalesce(%(max_pair_binds)s, max_pair_binds), 0),
       max_order_pairs = nullif(coalesce(%(max_order_pairs)s, max_order_pairs), 0),
       refuses_pairs = coalesce(%(refuses_pairs)s, refuses_pairs),
       consent = coalesce(%(consent)s, consent),
       needs_real_name = coalesce(%(needs_real_name)s, needs_real_name),
       bind_limits = nullif(coalesce(%(bind_limits)s::jsonb, bind_limits), '{}')
 WHERE name = %(name)s
RETURNING id;

-- find_time_zone --
-- A time zone; no row: there is none of this name.
SELECT z.name FROM pg_catalog.pg_timezone_names z WHERE z.name = %(zone)s;

-- set_tenant_hours --
-- Say in which hours calls and texts of a tenant go through, and in which time zone; no row if there is no such tenant.
UPDATE agi_router.tenant
   SET hours = CASE WHEN %(given)s THEN %(hours)s::text ELSE hours END, time_zone = coalesce(%(zone)s, time_zone)
 WHERE name = %(name)s
RETURNING id;

-- set_tenant_record --
-- Say whether calls of a tenant's bindings are recorded that do not say it themselves; no row if there is no such tenant.
UPDATE agi_router.tenant SET record = %(record)s WHERE name = %(name)s RETURNING id;

-- set_tenant_call_limits --
-- Say how many calls of a tenant go through in a time; no row if there is no such tenant.
UPDATE agi_router.tenant SET call_limits = %(limits)s::jsonb WHERE name = %(name)s RETURNING id;

-- find_tenant_rules --
-- What the bindings of a tenant are to keep to; no row: nothing.
SELECT t.id, t.needs_order, t.scenes, t.max_pair_binds, t.max_order_pairs, t.refuses_pairs, t.consent,
       t.needs_real_name, t.bind_limits
  FROM agi_router.tenant t
 WHERE t.name = %(name)s AND (t.needs_order OR t.ruled) AND agi_router.in_scope(t.id, %(scope)s);

-- list_tenant_rules --
-- Of some tenants those that have rules or quotas, and what their bindings are to keep to.
SELECT t.id, t.name, t.limited, t.needs_order, t.scenes, t.max_pair_binds, t.max_order_pairs, t.refuses_pairs, t.consent,
       t.needs_real_name, t.bind_limits
  FROM agi_router.tenant t
 WHERE t.name = ANY (%(names)s::text[]) AND (t.ruled OR t.limited) AND agi_router.in_scope(t.id, %(scope)s);

-- hold_rules --
-- Take all turns that many binds need; see agi_router.hold_rules.
SELECT agi_router.hold_rules(%(consents)s::integer[], %(orders)s::text[], %(pairs)s::text[], %(counted)s::integer[],
                             %(several)s);

-- find_too_many_binds --
-- Of what bindings are made so often that one more would be too many, and how long until it is not; no row: of nothing.
SELECT u.kind, n.wait
  FROM jsonb_to_recordset(%(uses)s::jsonb) u (kind text, keys bigint[], most integer, within interval)
 CROSS JOIN LATERAL (
       SELECT b.at + u.within - statement_timestamp() AS wait
         FROM agi_router.bind_use b
        WHERE b.tenant_id = %(tenant_id)s AND b.kind = u.kind AND b.key = ANY (u.keys)
          AND b.at > statement_timestamp() - u.within
        ORDER BY b.at DESC
        LIMIT 1 OFFSET u.most - 1) n
 ORDER BY n.wait DESC
 LIMIT 1;

-- note_binds --
-- Count a binding that this transaction has just made.
INSERT INTO agi_router.bind_use (tenant_id, kind, key, at, until)
SELECT %(tenant_id)s, u.kind, u.keys[1], statement_timestamp(), statement_timestamp() + u.within
  FROM jsonb_to_recordset(%(uses)s::jsonb) u (kind text, keys bigint[], within interval);

-- forget_binds --
-- Forget bindings that count no longer.
WITH gone AS (
    DELETE FROM agi_router.bind_use WHERE until < now() RETURNING key
)
SELECT count(*) AS rows FROM gone;

-- is_order_crowded --
-- Whether an order has too many different parties; see agi_router.is_order_crowded.
SELECT agi_router.is_order_crowded(%(tenant_id)s, %(order_id)s, %(most)s, %(refuses)s, %(in_turn)s, '{}') AS crowded;

-- pair_too_often --
-- How long until two may be bound again; see agi_router.pair_too_often.
SELECT agi_router.pair_too_often(%(tenant_id)s, %(most)s, %(within)s, %(pair)s, %(a)s::bigint[], %(b)s::bigint[],
                                 %(in_turn)s, '{}') AS wait;

-- set_tenant_quota --
-- Say how many bindings a tenant may have, or requests it may make; what was counted of it is counted anew. No row if there is no such tenant.
WITH gone AS (
    DELETE FROM agi_router.quota_count c
     USING agi_router.tenant t
     WHERE t.id = c.tenant_id AND t.name = %(name)s
)
UPDATE agi_router.tenant
   SET max_bindings = CASE %(quota)s WHEN 'bindings' THEN %(most)s::integer ELSE max_bindings END,
       max_binds = CASE %(quota)s WHEN 'binds' THEN %(most)s::integer ELSE max_binds END,
       max_requests = CASE %(quota)s WHEN 'requests' THEN %(most)s::integer ELSE max_requests END
 WHERE name = %(name)s
RETURNING id;

-- take_quota --
-- Count bindings that were just made; a row where they are more than their tenant may have.
SELECT * FROM agi_router.take_quota(%(tenant_id)s, %(count)s);

-- take_key_quota --
-- Count bindings that were just made with an API key; a row where they are more than it may make.
SELECT * FROM agi_router.take_key_quota(%(key)s, %(count)s);

-- expire_api_keys --
-- Say of an owner's keys whose time is over that they are expired: they make room.
UPDATE agi_router.api_key
   SET state = 'expired'
 WHERE tenant_id IS NOT DISTINCT FROM %(tenant_id)s::integer AND state = 'active'
   AND expires_at <= statement_timestamp();

-- add_api_key --
-- Add a key; no row if its owner has as many active ones as may be, or another is just being made.
INSERT INTO agi_router.api_key (id, tenant_id, place, form, label, scopes, networks, max_binds, max_requests, digest,
                                sealed, begins_at, expires_at)
SELECT %(id)s, %(tenant_id)s::integer, p.place, %(form)s, %(label)s, %(scopes)s::text[],
       %(networks)s::text[]::cidr[], %(max_binds)s::integer, %(max_requests)s::integer, %(digest)s,
       %(sealed)s, b.at, b.at + %(life)s::interval
  FROM (SELECT greatest(statement_timestamp(), %(begins_at)s::timestamptz)) b (at),
       generate_series(1, CASE WHEN %(tenant_id)s::integer IS NULL THEN 6 ELSE 2 END) p (place)
 WHERE NOT EXISTS (SELECT 1
                     FROM agi_router.api_key k
                    WHERE coalesce(k.tenant_id, 0) = coalesce(%(tenant_id)s::integer, 0) AND k.place = p.place
                      AND k.state = 'active')
 ORDER BY p.place
 LIMIT 1
    ON CONFLICT DO NOTHING
RETURNING id;

-- find_api_key --
-- One key with its secret and whether its owner is active, at one moment. beside: where there is none of this id the next
-- one is told, or the first, which takes as long.
SELECT k.id, k.tenant_id, t.name AS tenant, k.form, k.label, k.scopes, k.networks, k.max_binds, k.max_requests,
       k.digest, k.sealed,
       CASE WHEN k.state = 'active' AND k.expires_at <= clock_timestamp() THEN 'expired'
            WHEN k.state = 'active' AND k.begins_at > clock_timestamp() THEN 'waiting' ELSE k.state END AS state,
       k.created_at, k.begins_at, k.expires_at, k.revoked_at, k.last_used_at,
       coalesce(t.active, true) AS owner_active, t.max_requests AS tenant_requests, clock_timestamp() AS now
  FROM agi_router.api_key k
  LEFT JOIN agi_router.tenant t ON t.id = k.tenant_id
 WHERE k.id = CASE WHEN %(beside)s THEN (
                   SELECT n.id
                     FROM ((SELECT o.id FROM agi_router.api_key o WHERE o.id >= %(id)s ORDER BY o.id LIMIT 1)
                           UNION ALL
                           (SELECT o.id FROM agi_router.api_key o ORDER BY o.id LIMIT 1)) n
                    LIMIT 1) ELSE %(id)s END
   AND agi_router.in_scope(k.tenant_id, %(scope)s);

-- list_api_keys --
-- The keys of one tenant, or of all tenants and the operator, newest first: all, or a page.
SELECT k.id, t.name AS tenant, k.form, k.label, k.scopes, k.networks, k.max_binds, k.max_requests,
       CASE WHEN k.state = 'active' AND k.expires_at <= clock_timestamp() THEN 'expired'
            WHEN k.state = 'active' AND k.begins_at > clock_timestamp() THEN 'waiting' ELSE k.state END AS state,
       k.created_at, k.begins_at, k.expires_at, k.revoked_at, k.last_used_at
  FROM agi_router.api_key k
  LEFT JOIN agi_router.tenant t ON t.id = k.tenant_id
 WHERE (%(tenant)s::text IS NULL OR t.name = %(tenant)s) AND agi_router.in_scope(k.tenant_id, %(scope)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR k.created_at < %(after_at)s OR k.created_at = %(after_at)s AND k.id > %(after_name)s::text)
 ORDER BY k.created_at DESC, k.id
 LIMIT %(limit)s;

-- revoke_api_key --
-- Revoke a key that is active; no row if there is none of this id.
UPDATE agi_router.api_key
   SET state = 'revoked', revoked_at = statement_timestamp()
 WHERE id = %(id)s AND state = 'active' AND agi_router.in_scope(tenant_id, %(scope)s)
RETURNING id;

-- note_api_key_use --
-- Say that a key was used, once a minute at most.
UPDATE agi_router.api_key
   SET last_used_at = statement_timestamp()
 WHERE id = %(id)s AND agi_router.in_scope(tenant_id, %(scope)s)
   AND (last_used_at IS NULL OR last_used_at < statement_timestamp() - interval '1 minute');

-- list_sealed_secrets --
-- The secrets that are sealed otherwise than with this header.
SELECT id, sealed
  FROM agi_router.api_key
 WHERE agi_router.sealed_otherwise(sealed, %(header)s::bytea)
 ORDER BY id
 LIMIT %(limit)s;

-- seal_secret --
-- Keep a secret as it is sealed now.
UPDATE agi_router.api_key
   SET sealed = %(sealed)s
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) c
 WHERE id = %(id)s
RETURNING id;

-- count_api_keys --
-- How many API keys open something.
SELECT count(*) AS keys
  FROM agi_router.api_key
 WHERE state = 'active' AND begins_at <= clock_timestamp() AND expires_at > clock_timestamp();
