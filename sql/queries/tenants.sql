-- Tenants, and the API keys of theirs and of the operator's.

-- add_tenant --
-- Add a tenant; no row if it is there already.
INSERT INTO agi_router.tenant (name) VALUES (%(name)s)
    ON CONFLICT DO NOTHING
RETURNING name, active, unknown_numbers, max_bindings, max_binds, max_requests, created_at;

-- list_tenants --
-- All tenants, with the number of blocks kept for each.
SELECT t.name, t.active, t.unknown_numbers, t.max_bindings, t.max_binds, t.max_requests, t.created_at,
       (SELECT count(*) FROM agi_router.block k WHERE k.tenant_id = t.id) AS blocks
  FROM agi_router.tenant t
 WHERE agi_router.in_scope(t.id, %(scope)s)
 ORDER BY t.name;

-- set_tenant_active --
-- Suspend a tenant, or let it go on; no row if there is none of this name.
UPDATE agi_router.tenant
   SET active = %(active)s
 WHERE name = %(name)s
RETURNING name, active, unknown_numbers, max_bindings, max_binds, max_requests, created_at;

-- set_tenant_unknown_numbers --
-- Say what becomes of a tenant's bindings where the owner of a number is unknown; no row if there is no such tenant.
UPDATE agi_router.tenant
   SET unknown_numbers = %(unknown)s
 WHERE name = %(name)s
RETURNING name, active, unknown_numbers, max_bindings, max_binds, max_requests, created_at;

-- find_tenant --
-- A tenant by name.
SELECT id, name, active, unknown_numbers, max_bindings, max_binds, max_requests, created_at
  FROM agi_router.tenant
 WHERE name = %(name)s AND agi_router.in_scope(id, %(scope)s);

-- list_active_tenants --
-- The active tenants, and whether they have quotas.
SELECT id, name, limited FROM agi_router.tenant WHERE active;

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
RETURNING name, active, unknown_numbers, max_bindings, max_binds, max_requests, created_at;

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
-- Add a key; no row if its owner has two active ones, or another is just being made.
INSERT INTO agi_router.api_key (id, tenant_id, place, form, label, scopes, networks, max_binds, max_requests, digest,
                                sealed, expires_at)
SELECT %(id)s, %(tenant_id)s::integer, p.place, %(form)s, %(label)s, %(scopes)s::text[],
       %(networks)s::text[]::cidr[], %(max_binds)s::integer, %(max_requests)s::integer, %(digest)s,
       %(sealed)s, statement_timestamp() + %(life)s::interval
  FROM (VALUES (1), (2)) p (place)
 WHERE NOT EXISTS (SELECT 1
                     FROM agi_router.api_key k
                    WHERE coalesce(k.tenant_id, 0) = coalesce(%(tenant_id)s::integer, 0) AND k.place = p.place
                      AND k.state = 'active')
 ORDER BY p.place
 LIMIT 1
    ON CONFLICT DO NOTHING
RETURNING id;

-- find_api_key --
-- One key with its secret and whether its owner is active, at one moment.
SELECT k.id, k.tenant_id, t.name AS tenant, k.form, k.label, k.scopes, k.networks, k.max_binds, k.max_requests,
       k.digest, k.sealed,
       CASE WHEN k.state = 'active' AND k.expires_at <= clock_timestamp() THEN 'expired' ELSE k.state END AS state,
       k.created_at, k.expires_at, k.revoked_at, k.last_used_at,
       coalesce(t.active, true) AS owner_active, t.max_requests AS tenant_requests, clock_timestamp() AS now
  FROM agi_router.api_key k
  LEFT JOIN agi_router.tenant t ON t.id = k.tenant_id
 WHERE k.id = %(id)s AND agi_router.in_scope(k.tenant_id, %(scope)s);

-- list_api_keys --
-- The keys of one tenant, or of all tenants and the operator, in the order in which they were made.
SELECT k.id, t.name AS tenant, k.form, k.label, k.scopes, k.networks, k.max_binds, k.max_requests,
       CASE WHEN k.state = 'active' AND k.expires_at <= clock_timestamp() THEN 'expired' ELSE k.state END AS state,
       k.created_at, k.expires_at, k.revoked_at, k.last_used_at
  FROM agi_router.api_key k
  LEFT JOIN agi_router.tenant t ON t.id = k.tenant_id
 WHERE (%(tenant)s::text IS NULL OR t.name = %(tenant)s) AND agi_router.in_scope(k.tenant_id, %(scope)s)
 ORDER BY k.created_at, k.id;

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
 ORDER BY id;

-- seal_secret --
-- Keep a secret as it is sealed now.
UPDATE agi_router.api_key
   SET sealed = %(sealed)s
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) c
 WHERE id = %(id)s
RETURNING id;

-- count_api_keys --
-- How many API keys open something.
SELECT count(*) AS keys FROM agi_router.api_key WHERE state = 'active' AND expires_at > clock_timestamp();
