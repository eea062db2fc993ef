-- Persons: locks and block lists, and by what calls and binds find them.

-- find_own_block --
-- A block, if it lies within the scope.
SELECT k.block FROM agi_router.block k WHERE k.block = %(block)s AND agi_router.in_scope(k.tenant_id, %(scope)s);

-- new_lock_id --
-- What a new lock is numbered by: its values are sealed before it is set.
SELECT nextval('agi_router.lock_id') AS id;

-- await_other_locks --
-- Wait for whoever sets a lock by this key, and keep others off; see agi_router.set_lock.
SELECT pg_advisory_xact_lock(7002029, (%(key)s::bigint & 63)::integer) IS NULL AS waited;

-- set_lock --
-- Set a lock.
SELECT agi_router.set_lock(
    %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(id)s, %(subject)s, %(keys)s::bigint[],
    %(sealed)s::bytea[], %(tenant_id)s::integer, %(reason)s, %(rule)s, %(note)s, %(scope)s::integer,
    %(set_by)s, %(starts_at)s::timestamptz, %(ends_at)s::timestamptz, %(cut)s);

-- record_by_itself --
-- Write into the audit what nobody has done in particular.
SELECT agi_router.record_by_itself(%(act)s, %(what)s, %(ids)s::bigint[], %(reason)s);

-- lift_locks --
-- Lift those of these locks that are not over; returns them.
SELECT l AS id FROM agi_router.lift_locks(%(ids)s::bigint[], %(lifted_by)s, %(note)s) l;

-- find_lock --
-- One lock, if it may be seen.
SELECT l.id, l.subject, l.key, l.sealed, t.name AS tenant, l.reason, l.rule, l.note, l.setter_id, l.set_by,
       l.set_at, l.starts_at, l.ends_at, l.over_at, l.lifted_by, l.lift_note, l.cut,
       clock_timestamp() AS now
  FROM agi_router.lock l
  LEFT JOIN agi_router.tenant t ON t.id = l.tenant_id
 WHERE l.id = %(id)s
   AND (agi_router.in_scope(l.tenant_id, %(scope)s)
        OR l.subject IN ('number', 'block')
           AND EXISTS (SELECT k.block
                         FROM agi_router.block k
                        WHERE k.block = CASE l.subject WHEN 'block' THEN l.key ELSE l.key / 10000 END
                          AND agi_router.in_scope(k.tenant_id, %(scope)s)));

-- list_locks --
-- Locks that may be seen, newest first.
SELECT l.id, l.subject, l.key, l.sealed, t.name AS tenant, l.reason, l.rule, l.note, l.setter_id, l.set_by,
       l.set_at, l.starts_at, l.ends_at, l.over_at, l.lifted_by, l.lift_note, l.cut,
       clock_timestamp() AS now
  FROM agi_router.lock l
  LEFT JOIN agi_router.tenant t ON t.id = l.tenant_id
 WHERE (agi_router.in_scope(l.tenant_id, %(scope)s)
        OR l.subject IN ('number', 'block')
           AND EXISTS (SELECT k.block
                         FROM agi_router.block k
                        WHERE k.block = CASE l.subject WHEN 'block' THEN l.key ELSE l.key / 10000 END
                          AND agi_router.in_scope(k.tenant_id, %(scope)s)))
   AND (%(everything)s OR l.over_at IS NULL AND (l.ends_at IS NULL OR l.ends_at > statement_timestamp()))
   AND (%(subject)s::text IS NULL OR l.subject = %(subject)s)
   AND (%(reason)s::text IS NULL OR l.reason = %(reason)s)
   AND (%(keys)s::bigint[] IS NULL OR l.key = ANY (%(keys)s))
   AND (%(tenant_id)s::integer IS NULL OR l.tenant_id = %(tenant_id)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR (l.set_at, l.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY l.set_at DESC, l.id DESC
 LIMIT %(limit)s;

-- list_locks_of_person --
-- The locks by tags of one person; a tenant sees them of those alone who are or were parties of its bindings, and
-- none that is for another tenant.
SELECT l.id, l.subject, l.key, l.sealed, t.name AS tenant, l.reason, l.rule, l.note, l.setter_id, l.set_by,
       l.set_at, l.starts_at, l.ends_at, l.over_at, l.lifted_by, l.lift_note, l.cut,
       clock_timestamp() AS now
  FROM agi_router.lock l
  LEFT JOIN agi_router.tenant t ON t.id = l.tenant_id
 WHERE l.subject = 'person' AND l.key = ANY (%(tags)s::bigint[])
   AND (agi_router.in_scope(l.tenant_id, %(scope)s)
        OR l.tenant_id IS NULL
           AND EXISTS (SELECT r.block
                         FROM agi_router.route r
                         JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
                        WHERE r.caller_tag = ANY (%(tags)s::bigint[])
                          AND agi_router.in_scope(b.tenant_id, %(scope)s)
                        UNION ALL
                       SELECT r.block
                         FROM agi_router.route r
                         JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
                        WHERE r.callee_tags[1] = ANY (%(tags)s::bigint[]) AND r.caller IS NOT NULL
                          AND agi_router.in_scope(b.tenant_id, %(scope)s)
                        UNION ALL
                       SELECT r.block
                         FROM agi_router.past_route r
                         JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
                        WHERE (r.caller_tag = ANY (%(tags)s::bigint[])
                               OR r.callee_tags[1] = ANY (%(tags)s::bigint[]) AND r.caller IS NOT NULL)
                          AND agi_router.in_scope(b.tenant_id, %(scope)s)))
   AND (%(everything)s OR l.over_at IS NULL AND (l.ends_at IS NULL OR l.ends_at > statement_timestamp()))
 ORDER BY l.set_at DESC, l.id DESC;

-- list_locks_in_time --
-- The locks on some things that held in a time, the earliest first.
SELECT l.id, l.subject, l.key, l.sealed, t.name AS tenant, l.reason, l.rule, l.note, l.setter_id, l.set_by,
       l.set_at, l.starts_at, l.ends_at, l.over_at, l.lifted_by, l.lift_note, l.cut,
       clock_timestamp() AS now
  FROM agi_router.lock l
  LEFT JOIN agi_router.tenant t ON t.id = l.tenant_id
 WHERE (l.subject = 'person' AND l.key = ANY (%(tags)s::bigint[])
        OR l.subject IN ('number', 'block') AND l.key = ANY (%(keys)s::bigint[])
        OR l.subject = 'tenant' AND t.name = ANY (%(tenants)s::text[]))
   AND l.starts_at < %(until)s
   AND least(coalesce(l.over_at, 'infinity'), coalesce(l.ends_at, 'infinity')) > %(since)s
   AND agi_router.in_scope(l.tenant_id, %(scope)s)
 ORDER BY l.starts_at, l.id;

-- list_effects --
-- The locks by these keys that are in force now for a tenant.
SELECT f.lock_id AS id, f.key, f.subject, f.reason, f.tenant_id, encode(f.sealed, 'hex') AS sealed, f.appeal
  FROM agi_router.find_locks(%(keys)s::bigint[], %(tenant_id)s::integer, clock_timestamp(), '{}') f;

-- pass_strangers --
-- Say which locks are known to be of somebody else, until that is said otherwise; see agi_router.refuse_locked.
SELECT set_config('agi_router.strangers', %(strangers)s, false) AS strangers;

-- list_unmarked_locks --
-- Live locks of persons that have no mark under a tag key.
SELECT l.id, l.key, l.sealed
  FROM agi_router.lock l
 WHERE l.subject = 'person' AND l.over_at IS NULL
   AND NOT EXISTS (SELECT m.key
                     FROM agi_router.lock_mark m
                    WHERE m.lock_id = l.id AND get_byte(m.sealed, 2) = %(tag_key)s)
 ORDER BY l.id
 LIMIT %(limit)s;

-- add_lock_mark --
-- Give a live lock of a person a mark under one more tag key; waits for whoever is just lifting it.
INSERT INTO agi_router.lock_mark (key, lock_id, subject, reason, tenant_id, sealed, starts_at, ends_at, cut, appeal)
SELECT %(key)s, l.id, l.subject, l.reason, l.tenant_id, %(sealed)s, l.starts_at, l.ends_at, l.cut,
       (SELECT a.state FROM agi_router.appeal a WHERE a.lock_id = l.id ORDER BY a.id DESC LIMIT 1)
  FROM agi_router.lock l
 WHERE l.id = %(id)s AND l.over_at IS NULL
   FOR SHARE
    ON CONFLICT DO NOTHING
RETURNING lock_id;

-- list_sealed_locks --
-- Locks of persons, and their marks of the current tag key, that are sealed otherwise than with this header.
SELECT l.id, l.key, l.sealed, false AS mark
  FROM agi_router.lock l
 WHERE agi_router.sealed_otherwise(l.sealed, %(header)s)
 UNION ALL
SELECT m.lock_id, m.key, m.sealed, true
  FROM agi_router.lock_mark m
 WHERE m.subject <> 'blocklist'
   AND agi_router.sealed_otherwise(m.sealed, %(header)s) AND get_byte(m.sealed, 2) = %(tag_key)s
 LIMIT %(limit)s;

-- seal_lock --
-- Tag and seal the person of a lock anew.
UPDATE agi_router.lock SET key = %(key)s, sealed = %(sealed)s WHERE id = %(id)s;

-- seal_lock_mark --
-- Seal the mark of a lock anew.
UPDATE agi_router.lock_mark SET sealed = %(sealed)s WHERE lock_id = %(id)s AND key = %(key)s;

-- drop_old_lock_marks --
-- Delete the marks under tags of older keys: no route has such a tag any more.
DELETE FROM agi_router.lock_mark WHERE get_byte(sealed, 2) <> %(tag_key)s;

-- add_to_blocklist --
-- Add an entry to the block lists.
SELECT agi_router.add_to_blocklist(
    NULL, %(tag_key)s::integer, %(seal_key)s::integer, %(id)s, %(keys)s::bigint[], %(sealed)s::bytea[],
    %(other_keys)s::bigint[], %(other_sealed)s::bytea[], %(tenant_id)s::integer, %(direction)s, %(note)s,
    %(scope)s::integer, %(added_by)s, %(ends_at)s::timestamptz);

-- remove_from_blocklist --
-- Remove those of these entries that are not over; returns them.
SELECT r AS id FROM agi_router.remove_from_blocklist(%(ids)s::bigint[], %(removed_by)s) r;

-- find_blocklist_entry --
-- One entry of the block lists, if it may be seen.
SELECT e.id, e.key, e.sealed, e.other_key, e.other_sealed, t.name AS tenant, e.direction, e.note, e.setter_id,
       e.added_by, e.added_at, e.ends_at, e.over_at, e.removed_by, clock_timestamp() AS now
  FROM agi_router.blocklist e
  LEFT JOIN agi_router.tenant t ON t.id = e.tenant_id
 WHERE e.id = %(id)s AND agi_router.in_scope(e.tenant_id, %(scope)s);

-- list_blocklist --
-- Entries of the block lists that may be seen, newest first; of a person, those with one of its tags on either side.
SELECT e.id, e.key, e.sealed, e.other_key, e.other_sealed, t.name AS tenant, e.direction, e.note, e.setter_id,
       e.added_by, e.added_at, e.ends_at, e.over_at, e.removed_by, clock_timestamp() AS now
  FROM agi_router.blocklist e
  LEFT JOIN agi_router.tenant t ON t.id = e.tenant_id
 WHERE agi_router.in_scope(e.tenant_id, %(scope)s)
   AND (%(everything)s OR e.over_at IS NULL AND (e.ends_at IS NULL OR e.ends_at > statement_timestamp()))
   AND (%(tenant_id)s::integer IS NULL OR e.tenant_id = %(tenant_id)s)
   AND (%(tags)s::bigint[] IS NULL OR e.key = ANY (%(tags)s) OR e.other_key = ANY (%(tags)s))
   AND (%(after_at)s::timestamptz IS NULL
        OR (e.added_at, e.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY e.added_at DESC, e.id DESC
 LIMIT %(limit)s;

-- list_unmarked_blocklist --
-- Live entries of the block lists that have no mark under a tag key.
SELECT e.id, e.key, e.sealed, e.other_key, e.other_sealed
  FROM agi_router.blocklist e
 WHERE e.over_at IS NULL
   AND NOT EXISTS (SELECT m.key
                     FROM agi_router.lock_mark m
                    WHERE m.lock_id = e.id AND get_byte(m.sealed, 2) = %(tag_key)s)
 ORDER BY e.id
 LIMIT %(limit)s;

-- add_blocklist_mark --
-- Give a live entry a mark under one more tag key; waits for whoever is just removing it.
INSERT INTO agi_router.lock_mark (key, lock_id, subject, tenant_id, sealed, starts_at, ends_at, other_key,
                                  other_sealed, direction)
SELECT %(key)s, e.id, 'blocklist', e.tenant_id, %(sealed)s, e.added_at, e.ends_at, %(other_key)s::bigint,
       %(other_sealed)s::bytea, e.direction
  FROM agi_router.blocklist e
 WHERE e.id = %(id)s AND e.over_at IS NULL
   FOR SHARE
    ON CONFLICT DO NOTHING
RETURNING lock_id;

-- list_sealed_blocklist --
-- Entries, and their marks of the current tag key, that are sealed otherwise than with this header.
SELECT e.id, e.key, e.sealed, e.other_key, e.other_sealed, false AS mark
  FROM agi_router.blocklist e
 WHERE agi_router.sealed_otherwise(e.sealed, %(header)s)
 UNION ALL
SELECT m.lock_id, m.key, m.sealed, m.other_key, m.other_sealed, true
  FROM agi_router.lock_mark m
 WHERE m.subject = 'blocklist'
   AND agi_router.sealed_otherwise(m.sealed, %(header)s) AND get_byte(m.sealed, 2) = %(tag_key)s
 LIMIT %(limit)s;

-- seal_blocklist_entry --
-- Tag and seal the persons of an entry anew.
UPDATE agi_router.blocklist
   SET key = %(key)s, sealed = %(sealed)s, other_key = %(other_key)s, other_sealed = %(other_sealed)s
 WHERE id = %(id)s;

-- seal_blocklist_mark --
-- Seal the mark of an entry anew.
UPDATE agi_router.lock_mark
   SET sealed = %(sealed)s, other_sealed = %(other_sealed)s
 WHERE lock_id = %(id)s AND key = %(key)s;

-- list_recycled_entries --
-- The live entries of the block lists on either side of which a person has one of these tags, and which tag that is.
SELECT t.n, e.id, e.key, e.sealed, e.other_key, e.other_sealed, e.added_at
  FROM unnest(%(tags)s::bigint[]) WITH ORDINALITY t (tag, n)
  JOIN agi_router.blocklist e ON e.key = t.tag OR e.other_key = t.tag
 WHERE e.over_at IS NULL
 ORDER BY e.id, t.n;

-- stream_blocklist --
-- The persons of all live entries of the block lists, sealed: an entry, its tag, what is sealed.
SELECT e.id, e.key, e.sealed, e.other_key, e.other_sealed FROM agi_router.blocklist e WHERE e.over_at IS NULL;

-- list_recycled_locks --
-- The live locks on persons that one of these tags is of, and which tag that is.
SELECT t.n, l.id, l.key, l.sealed, l.set_at
  FROM unnest(%(tags)s::bigint[]) WITH ORDINALITY t (tag, n)
  JOIN agi_router.lock l ON l.key = t.tag
 WHERE l.subject = 'person' AND l.over_at IS NULL
 ORDER BY l.id, t.n;

-- stream_locks --
-- The persons of all live locks, sealed.
SELECT l.id AS lock_id, l.key, l.sealed FROM agi_router.lock l WHERE l.subject = 'person' AND l.over_at IS NULL;

-- find_concerning --
-- One lock, if it may be seen, or holds everywhere on a person who is or was a party of a binding in scope.
SELECT l.id, l.subject, l.key, l.sealed, t.name AS tenant, l.reason, l.rule, l.note, l.setter_id, l.set_by,
       l.set_at, l.starts_at, l.ends_at, l.over_at, l.lifted_by, l.lift_note, l.cut,
       clock_timestamp() AS now
  FROM agi_router.lock l
  LEFT JOIN agi_router.tenant t ON t.id = l.tenant_id
 WHERE l.id = %(id)s
   AND (agi_router.in_scope(l.tenant_id, %(scope)s)
        OR l.subject IN ('number', 'block')
           AND EXISTS (SELECT k.block
                         FROM agi_router.block k
                        WHERE k.block = CASE l.subject WHEN 'block' THEN l.key ELSE l.key / 10000 END
                          AND agi_router.in_scope(k.tenant_id, %(scope)s))
        OR l.subject = 'person' AND l.tenant_id IS NULL
           -- While keys are rotated the lock has a mark under each, and routes have tags by one or the other.
           AND EXISTS (SELECT r.block
                         FROM (SELECT l.key UNION SELECT m.key FROM agi_router.lock_mark m WHERE m.lock_id = l.id) k,
                              LATERAL (SELECT c.block, c.binding_id
                                         FROM agi_router.route c
                                        WHERE c.caller_tag = k.key
                                           OR c.callee_tags[1] = k.key AND c.caller IS NOT NULL
                                        UNION ALL
                                       SELECT p.block, p.binding_id
                                         FROM agi_router.past_route p
                                        WHERE p.caller_tag = k.key
                                           OR p.callee_tags[1] = k.key AND p.caller IS NOT NULL) r
                         JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
                        WHERE agi_router.in_scope(b.tenant_id, %(scope)s)));

-- file_appeal --
-- File an appeal, unless the lock is over or another one is open.
SELECT f.outcome, f.appeal_id AS id
  FROM agi_router.file_appeal(%(lock_id)s, %(scope)s::integer, %(state)s, %(filed_by)s, %(note)s, %(span)s::interval) f;

-- find_appeal --
-- One appeal, if it was filed by whoever asks, or is against a lock of its own.
SELECT a.*, l.reason, t.name AS tenant
  FROM agi_router.appeal a
  JOIN agi_router.lock l ON l.id = a.lock_id
  LEFT JOIN agi_router.tenant t ON t.id = a.tenant_id
 WHERE a.id = %(id)s
   AND (agi_router.in_scope(a.tenant_id, %(scope)s) OR agi_router.in_scope(l.setter_id, %(scope)s));

-- list_appeals --
-- The same, newest first.
SELECT a.*, l.reason, t.name AS tenant
  FROM agi_router.appeal a
  JOIN agi_router.lock l ON l.id = a.lock_id
  LEFT JOIN agi_router.tenant t ON t.id = a.tenant_id
 WHERE (agi_router.in_scope(a.tenant_id, %(scope)s) OR agi_router.in_scope(l.setter_id, %(scope)s))
   AND (%(state)s::text IS NULL OR a.state = %(state)s)
   AND (%(lock_id)s::bigint IS NULL OR a.lock_id = %(lock_id)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR (a.filed_at, a.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY a.filed_at DESC, a.id DESC
 LIMIT %(limit)s;

-- list_evidence --
-- What an appeal is backed with.
SELECT e.kind, e.reference, e.digest, e.added_at
  FROM agi_router.appeal_evidence e
 WHERE e.appeal_id = %(id)s
 ORDER BY e.added_at, e.kind, e.digest;

-- add_evidence --
-- Back an appeal with one more piece, unless it is there.
INSERT INTO agi_router.appeal_evidence (appeal_id, kind, reference, digest, added_by, added_at)
VALUES (%(id)s, %(kind)s, %(reference)s, %(digest)s, %(added_by)s, clock_timestamp())
    ON CONFLICT DO NOTHING
RETURNING appeal_id;

-- hold_upheld --
-- Keep a lock as it is until the transaction ends, if an appeal against it was upheld and it is not over.
SELECT l.id
  FROM agi_router.lock l
  JOIN agi_router.appeal a ON a.lock_id = l.id
 WHERE a.id = %(id)s AND a.state = 'upheld'
   AND l.over_at IS NULL AND (l.ends_at IS NULL OR l.ends_at > statement_timestamp())
   FOR SHARE OF l;

-- note_rebind --
-- Note which binding has taken the place of another one.
SELECT agi_router.note_rebind(%(block)s, %(binding_id)s, %(new_block)s, %(new_binding_id)s, %(id)s, %(by)s);

-- list_rebinds --
-- Which bindings were carried over as an appeal was upheld, if they may be seen.
SELECT r.block, r.binding_id, r.new_block, r.new_binding_id, r.rebound_at
  FROM agi_router.appeal_rebind r
 WHERE r.appeal_id = %(id)s AND agi_router.in_scope(r.tenant_id, %(scope)s)
 ORDER BY r.rebound_at, r.new_binding_id;

-- hold_appeal --
-- Keep an appeal as it is until the transaction ends, by its lock; see agi_router.step_appeal.
SELECT l.id
  FROM agi_router.lock l
 WHERE l.id = (SELECT a.lock_id FROM agi_router.appeal a WHERE a.id = %(id)s)
   FOR NO KEY UPDATE;

-- find_judge --
-- Who has set the lock of an appeal, and so may not judge it; and who has filed it, and so may withdraw it.
SELECT l.set_by, l.setter_id, a.tenant_id AS filer_id
  FROM agi_router.appeal a
  JOIN agi_router.lock l ON l.id = a.lock_id
 WHERE a.id = %(id)s;

-- step_appeal --
-- Do a step.
SELECT agi_router.step_appeal(
    %(id)s, %(from)s::text[], %(to)s, %(actor)s, %(note)s, %(span)s::interval,
    %(scope)s::integer) AS done;

-- lock_complaints --
-- Complaints are counted one after the other.
SELECT pg_advisory_xact_lock(7002046);

-- add_complaint --
-- Add a complaint; no row where one of this reference is there.
INSERT INTO agi_router.complaint (x_number, tenant_id, kind, at, source, reference, note, added_at, added_by)
VALUES (%(x_number)s,
        coalesce(%(tenant_id)s::integer, agi_router.find_complained(%(block)s, %(x_number)s, %(at)s::timestamptz)),
        %(kind)s, %(at)s, %(source)s, %(reference)s, %(note)s, clock_timestamp(), %(added_by)s)
    ON CONFLICT ON CONSTRAINT complaint_same DO NOTHING
RETURNING id;

-- find_same_complaint --
-- The complaint of a reference.
SELECT c.id FROM agi_router.complaint c WHERE c.source = %(source)s AND c.reference = %(reference)s;

-- find_complaint --
-- One complaint, if it may be seen.
SELECT c.*, t.name AS tenant
  FROM agi_router.complaint c
  LEFT JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE c.id = %(id)s AND agi_router.in_scope(c.tenant_id, %(scope)s);

-- list_complaints --
-- Complaints that may be seen, newest first.
SELECT c.*, t.name AS tenant
  FROM agi_router.complaint c
  LEFT JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE agi_router.in_scope(c.tenant_id, %(scope)s)
   AND (%(x_number)s::bigint IS NULL OR c.x_number = %(x_number)s)
   AND (%(tenant_id)s::integer IS NULL OR c.tenant_id = %(tenant_id)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR (c.added_at, c.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY c.added_at DESC, c.id DESC
 LIMIT %(limit)s;

-- dismiss_complaint --
-- Have a complaint count no longer.
UPDATE agi_router.complaint
   SET dismissed_at = statement_timestamp(), dismissed_by = %(by)s, dismiss_note = %(note)s
 WHERE id = %(id)s AND dismissed_at IS NULL
RETURNING id;

-- find_own_number --
-- A 700 number, if its block lies within the scope, a binding on it does that has a route yet, or a complaint about its calls.
SELECT k.block
  FROM agi_router.block k
 WHERE k.block = %(block)s
   AND (agi_router.in_scope(k.tenant_id, %(scope)s)
        OR EXISTS (SELECT 1 FROM agi_router.route r
                     JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
                    WHERE r.block = %(block)s AND r.x_number = %(x_number)s AND b.tenant_id = %(scope)s)
        OR EXISTS (SELECT 1 FROM agi_router.past_route p
                     JOIN agi_router.binding b ON b.block = p.block AND b.id = p.binding_id
                    WHERE p.block = %(block)s AND p.x_number = %(x_number)s AND b.tenant_id = %(scope)s)
        OR EXISTS (SELECT 1 FROM agi_router.complaint c
                    WHERE c.x_number = %(x_number)s AND c.tenant_id = %(scope)s));

-- count_complaints --
-- How many complaints count, and since when: for a time, and after the last stop that was lifted.
SELECT count(c.id) AS complaints, s.since
  FROM (SELECT greatest(
                   statement_timestamp() - %(within)s::interval,
                   (SELECT max(l.over_at)
                      FROM agi_router.lock l
                     WHERE l.subject = %(subject)s AND l.key = %(key)s AND l.rule = %(rule)s)) AS since) s
  LEFT JOIN agi_router.complaint c
    ON c.added_at > s.since AND c.dismissed_at IS NULL AND agi_router.in_scope(c.tenant_id, %(scope)s)
   AND (%(x_number)s::bigint IS NULL OR c.x_number = %(x_number)s)
   AND (%(tenant_id)s::integer IS NULL OR c.tenant_id = %(tenant_id)s)
 GROUP BY s.since;

-- count_calls_of_number --
-- How many calls went through since then whose callee was shown a 700 number, and are over; no more of them than
-- matter are counted.
SELECT count(*) AS calls
  FROM (SELECT c.day
          FROM agi_router.call c
         WHERE c.shown = %(x_number)s AND c.state = 'settled' AND c.reason IS NULL
           AND c.day >= %(since)s::date - 1 AND c.received_at > %(since)s
           AND agi_router.in_scope(c.tenant_id, %(scope)s)
         LIMIT %(most)s) n;

-- count_calls_of_tenant --
-- The same of a tenant.
SELECT count(*) AS calls
  FROM (SELECT c.day
          FROM agi_router.call c
         WHERE c.tenant_id = %(tenant_id)s AND c.reason IS NULL
           AND c.day >= %(since)s::date - 1 AND c.received_at > %(since)s
         LIMIT %(most)s) n;

-- find_stop --
-- The lock by which complaints have stopped a thing, if it holds.
SELECT l.id
  FROM agi_router.lock l
 WHERE l.subject = %(subject)s AND l.key = %(key)s AND l.rule = %(rule)s
   AND l.over_at IS NULL AND (l.ends_at IS NULL OR l.ends_at > statement_timestamp())
 LIMIT 1;

-- tell_complaints --
-- Tell the tenant of a complaint, if it is told of such, that too many complain.
SELECT agi_router.tell(NULL, NULL, t.id, 'complaint.alarm', NULL,
                       jsonb_build_object('complaint_id', c.id::text, 'subject', %(subject)s::text,
                                          'x_number', c.x_number::text, 'complaints', %(complaints)s::bigint,
                                          'calls', %(calls)s::bigint, 'level', %(level)s::text,
                                          'lock_id', %(lock_id)s::bigint::text)) AS event_id
  FROM agi_router.complaint c
  JOIN agi_router.tenant t ON t.id = c.tenant_id AND 'complaint.alarm' = ANY (t.told)
 WHERE c.id = %(id)s;

-- add_real_name --
-- Write down whether a person is known by its real name.
INSERT INTO agi_router.real_name (tenant_id, person_id, status, source, checked_at, added_at, added_by)
VALUES (%(tenant_id)s::integer, %(person_id)s, %(status)s, %(source)s,
        coalesce(%(checked_at)s::timestamptz, clock_timestamp()), clock_timestamp(), %(added_by)s)
RETURNING id;

-- find_real_names --
-- Whether some persons are known by their real name; which of them, by their places.
SELECT f.place, f.status, f.source, f.checked_at
  FROM agi_router.find_real_names(%(ids)s::bigint[], %(places)s::integer[], %(tenant_id)s::integer) f;

-- all_verified --
-- Whether all of some people are known by their real names, to a tenant.
SELECT bool_and(agi_router.is_verified(
           %(tenant_id)s, (p.value ->> 'tags')::bigint[], (p.value ->> 'digests')::bytea[])) AS verified
  FROM jsonb_array_elements(%(people)s::jsonb) p;

-- find_real_name --
-- One line, if it may be seen.
SELECT n.*, t.name AS tenant, n.checked_at < w.since IS TRUE AS void
  FROM agi_router.real_name n
  LEFT JOIN agi_router.new_owner w ON w.person_id = n.person_id
  LEFT JOIN agi_router.tenant t ON t.id = n.tenant_id
 WHERE n.id = %(id)s AND agi_router.in_scope(n.tenant_id, %(scope)s);

-- list_real_names --
-- Lines that may be seen, newest first; of some persons, or of all.
SELECT n.*, t.name AS tenant, n.checked_at < w.since IS TRUE AS void
  FROM agi_router.real_name n
  LEFT JOIN agi_router.new_owner w ON w.person_id = n.person_id
  LEFT JOIN agi_router.tenant t ON t.id = n.tenant_id
 WHERE agi_router.in_scope(n.tenant_id, %(scope)s)
   AND (%(ids)s::bigint[] IS NULL OR n.person_id = ANY (%(ids)s))
   AND (%(status)s::text IS NULL OR n.status = %(status)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR (n.added_at, n.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY n.added_at DESC, n.id DESC
 LIMIT %(limit)s;

-- new_person_ids --
-- What new persons are numbered by: their numbers are sealed before they are written.
SELECT nextval('agi_router.person_id') AS id FROM generate_series(1, %(count)s);

-- find_persons --
-- Who has one of these digests.
SELECT m.person_id, m.digest
  FROM agi_router.person_mark m
 WHERE m.tag = ANY (%(tags)s::bigint[]) AND m.digest = ANY (%(digests)s::bytea[]);

-- find_new_owners --
-- Since when the numbers of some persons have new owners.
SELECT w.person_id, w.since FROM agi_router.new_owner w WHERE w.person_id = ANY (%(ids)s::bigint[]);

-- add_persons --
-- The ids of persons, who may be new, in their order; see agi_router.add_persons.
SELECT unnest(agi_router.add_persons(%(people)s::jsonb)) AS id;

-- list_persons --
-- Some persons, each by one mark: that of a tag key if it has one.
SELECT DISTINCT ON (m.person_id) m.tag, m.person_id, m.sealed
  FROM agi_router.person_mark m
 WHERE m.person_id = ANY (%(ids)s::bigint[])
 ORDER BY m.person_id, get_byte(m.sealed, 2) <> %(tag_key)s;

-- add_person_mark --
-- Give a person one more mark.
INSERT INTO agi_router.person_mark (tag, person_id, digest, sealed)
VALUES (%(tag)s, %(person_id)s, %(digest)s, %(sealed)s)
    ON CONFLICT DO NOTHING;

-- list_unmarked_persons --
-- Persons that have no mark under a tag key, each by one mark.
SELECT DISTINCT ON (m.person_id) m.tag, m.person_id, m.sealed
  FROM agi_router.person_mark m
 WHERE NOT EXISTS (SELECT o.tag
                     FROM agi_router.person_mark o
                    WHERE o.person_id = m.person_id AND get_byte(o.sealed, 2) = %(tag_key)s)
 ORDER BY m.person_id
 LIMIT %(limit)s;

-- list_sealed_persons --
-- Marks of this tag key that are sealed otherwise than with this header.
SELECT m.tag, m.person_id, m.sealed
  FROM agi_router.person_mark m
 WHERE get_byte(m.sealed, 2) = %(tag_key)s AND agi_router.sealed_otherwise(m.sealed, %(header)s)
 LIMIT %(limit)s;

-- seal_person_mark --
-- Seal a mark anew.
UPDATE agi_router.person_mark SET sealed = %(sealed)s WHERE tag = %(tag)s AND person_id = %(person_id)s;

-- drop_old_person_marks --
-- Delete the marks under tags of older keys of persons that have one under the current key.
DELETE FROM agi_router.person_mark m
 WHERE get_byte(m.sealed, 2) <> %(tag_key)s
   AND EXISTS (SELECT o.tag
                 FROM agi_router.person_mark o
                WHERE o.person_id = m.person_id AND get_byte(o.sealed, 2) = %(tag_key)s);
