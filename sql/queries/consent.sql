-- The consent ledger.

-- share_consents --
-- Keep lines for a tenant from being written until the transaction ends; others may do the same.
SELECT pg_advisory_xact_lock_shared(7002043, %(tenant_id)s::integer);

-- lock_consents --
-- Wait until the binds that are just being made for a tenant are there, and keep others off.
SELECT pg_advisory_xact_lock(7002043, %(tenant_id)s::integer);

-- add_consent --
-- Add a line.
INSERT INTO agi_router.consent (tenant_id, person_id, act, purpose, order_id, how, at, evidence, version, binding,
                                cut, added_at, added_by)
VALUES (%(tenant_id)s, %(person_id)s, %(act)s, %(purpose)s, %(order_id)s, %(how)s,
        coalesce(%(at)s::timestamptz, clock_timestamp()), %(evidence)s, %(version)s, %(binding)s, %(cut)s,
        clock_timestamp(), %(added_by)s)
RETURNING id;

-- state_consents --
-- Write down that people agree, as their tenant states it with a bind; see agi_router.state_consents.
SELECT agi_router.state_consents(%(tenant_id)s, %(people)s::jsonb, %(order_id)s, %(how)s, %(binding)s);

-- all_agree --
-- Whether all of some people agree to be bound by an order.
SELECT bool_and(agi_router.agrees(%(tenant_id)s, (p.value ->> 'tags')::bigint[], (p.value ->> 'digests')::bytea[],
                                  %(order_id)s::text)) AS agree
  FROM jsonb_array_elements(%(people)s::jsonb) p;

-- find_consent --
-- One line, if it may be seen.
SELECT c.*, t.name AS tenant, c.at < w.since IS TRUE AS void
  FROM agi_router.consent c
  LEFT JOIN agi_router.new_owner w ON w.person_id = c.person_id
  JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE c.id = %(id)s AND agi_router.in_scope(c.tenant_id, %(scope)s);

-- list_consents --
-- Lines that may be seen, newest first.
SELECT c.*, t.name AS tenant, c.at < w.since IS TRUE AS void
  FROM agi_router.consent c
  LEFT JOIN agi_router.new_owner w ON w.person_id = c.person_id
  JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE agi_router.in_scope(c.tenant_id, %(scope)s)
   AND (%(tenant_id)s::integer IS NULL OR c.tenant_id = %(tenant_id)s)
   AND (%(order_id)s::text IS NULL OR c.order_id = %(order_id)s)
   AND (%(act)s::text IS NULL OR c.act = %(act)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR (c.added_at, c.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY c.added_at DESC, c.id DESC
 LIMIT %(limit)s;

-- list_consents_of_persons --
-- The lines about some persons that may be seen, newest first.
SELECT c.*, t.name AS tenant, c.at < w.since IS TRUE AS void
  FROM agi_router.consent c
  LEFT JOIN agi_router.new_owner w ON w.person_id = c.person_id
  JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE c.person_id = ANY (%(ids)s::bigint[]) AND agi_router.in_scope(c.tenant_id, %(scope)s)
   AND (%(tenant_id)s::integer IS NULL OR c.tenant_id = %(tenant_id)s)
 ORDER BY c.added_at DESC, c.id DESC;

-- find_withdrawal --
-- A withdrawal for a tenant that was written since the transaction has begun, if there is one that ends bindings.
SELECT c.id
  FROM agi_router.consent c
 WHERE c.tenant_id = %(tenant_id)s AND c.act = 'withdrawn' AND c.purpose = 'binding' AND c.added_at >= now()
 LIMIT 1;

-- end_withdrawn --
-- End bindings a party of which has withdrawn its consent; see agi_router.end_withdrawn.
SELECT * FROM agi_router.end_withdrawn(%(block)s::bigint[], %(id)s::bigint[], %(scope)s::integer);

-- list_groups_of_member --
-- The party groups of a tenant with a member of one of these tags.
SELECT g.name, m.group_id, m.tag, m.sealed
  FROM agi_router.party_group g
  JOIN agi_router.group_member m ON m.group_id = g.id
 WHERE g.tenant_id = %(tenant_id)s AND m.tag = ANY (%(tags)s::bigint[]) AND agi_router.in_scope(g.tenant_id, %(scope)s)
 ORDER BY g.id;
