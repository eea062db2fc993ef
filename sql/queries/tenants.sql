-- Tenants.

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

-- list_active_tenants --
-- The active tenants.
SELECT id, name FROM agi_router.tenant WHERE active;
