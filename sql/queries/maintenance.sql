-- Sweeping what is over, deleting what is past retention, holds, and rotating keys.

-- try_lock_rotation --
-- One rotates at a time; false where another does.
SELECT pg_try_advisory_lock(7002027) AS locked;

-- list_routers --
-- The connections of routers; the last word of a name is the digest of the keys they read with. Anybody may take such a
-- name: who may not use the schema is none. Another role's address is told to members of pg_read_all_stats only.
SELECT * FROM agi_router.list_routers()
 UNION ALL
SELECT * FROM agi_router.list_routers_behind();

-- count_keys --
-- How many sealed values begin with each header, and so need its keys; past: those of what is over and out of the way.
SELECT substring(s.sealed FROM 1 FOR 3) AS header, count(*) AS values, count(*) FILTER (WHERE s.past) AS past
  FROM (SELECT callee, false FROM agi_router.route
        UNION ALL SELECT caller, false FROM agi_router.route
        UNION ALL SELECT last_callee, false FROM agi_router.route
        UNION ALL SELECT callee, true FROM agi_router.past_route
        UNION ALL SELECT caller, true FROM agi_router.past_route
        UNION ALL SELECT callee, false FROM agi_router.message_out
        UNION ALL SELECT body, false FROM agi_router.message_out
        UNION ALL SELECT sealed, false FROM agi_router.message_part
        UNION ALL SELECT sealed, false FROM agi_router.group_member
        UNION ALL SELECT sealed, false FROM agi_router.lock
        UNION ALL SELECT sealed, false FROM agi_router.lock_mark
        UNION ALL SELECT other_sealed, false FROM agi_router.lock_mark
        UNION ALL SELECT sealed, false FROM agi_router.blocklist
        UNION ALL SELECT other_sealed, false FROM agi_router.blocklist
        UNION ALL SELECT sealed, false FROM agi_router.person_mark
        UNION ALL SELECT sealed, false FROM agi_router.api_key
        UNION ALL SELECT secret, false FROM agi_router.webhook
        UNION ALL SELECT old_secret, false FROM agi_router.webhook
        UNION ALL SELECT secret, false FROM agi_router.tenant_check
        UNION ALL SELECT old_secret, false FROM agi_router.tenant_check
        UNION ALL SELECT sealed_key, false FROM agi_router.recording
        UNION ALL SELECT sealed, false FROM agi_router.feed_body
        UNION ALL SELECT sealed, false FROM agi_router.feed_pull) s (sealed, past)
 WHERE s.sealed IS NOT NULL
 GROUP BY 1
 ORDER BY 1;

-- count_unrenewed --
-- How many bindings have a row that was sealed or tagged with an older key, or by the other cipher.
SELECT count(*) AS bindings
  FROM agi_router.binding b
 CROSS JOIN LATERAL agi_router.find_unrenewed(b.block, b.id, %(header)s::bytea) u
 WHERE %(over)s OR b.ended_at IS NULL;

-- weigh_destruction --
-- Which bindings would go with a seal key: how many, by how many of them it may not, and a digest of their names. floor: how
-- long what is over is kept by law.
WITH held AS MATERIALIZED (
    SELECT h.block, h.binding_id FROM agi_router.list_held() h
), past AS (
    SELECT DISTINCT p.block, p.binding_id
      FROM agi_router.past_route p
     WHERE agi_router.sealed_with(p.callee, %(id)s::smallint) OR agi_router.sealed_with(p.caller, %(id)s::smallint)
)
SELECT count(*) AS bindings,
       count(*) FILTER (WHERE b.ended_at IS NULL) AS living,
       count(*) FILTER (WHERE b.ended_at > now() - %(floor)s::interval) AS young,
       count(*) FILTER (WHERE h.block IS NOT NULL) AS held,
       encode(sha256(coalesce(string_agg(p.block || '-' || p.binding_id, ' ' ORDER BY p.block, p.binding_id), '')::bytea),
              'hex') AS digest
  FROM past p
  LEFT JOIN agi_router.binding b ON b.block = p.block AND b.id = p.binding_id
  LEFT JOIN held h ON h.block = p.block AND h.binding_id = p.binding_id;

-- list_swept_blocks --
-- The blocks, for the sweep.
SELECT block FROM agi_router.block ORDER BY block;

-- end_locks --
-- Put locks away whose time is over.
SELECT agi_router.end_locks(%(limit)s::integer) AS rows;

-- lapse_appeals --
-- Have appeals lapse whose time is over.
SELECT agi_router.lapse_appeals(%(limit)s::integer) AS rows;

-- end_blocklist --
-- Put entries of the block lists away whose time is over.
SELECT agi_router.end_blocklist(%(limit)s::integer) AS rows;

-- mark_expired --
-- Mark bindings that the clock has ended; one that somebody holds has its turn later.
SELECT agi_router.mark_expired(%(limit)s::integer) AS rows;

-- forget_routes --
-- Move routes of some numbers whose binding ended so long ago that nothing rests for it any more.
WITH old AS (
    SELECT r.block, r.x_number, r.caller_tag, r.binding_id
      FROM agi_router.route r
      JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
     WHERE r.block = %(block)s AND r.x_number BETWEEN %(first)s AND %(last)s
       AND r.ends_at <= now() - %(memory)s::interval AND b.ended_at IS NOT NULL
     LIMIT %(limit)s
       FOR UPDATE OF r SKIP LOCKED
)
SELECT count(p.binding_id) AS rows
  FROM (SELECT array_agg(block) AS block, array_agg(x_number) AS x_number, array_agg(caller_tag) AS caller_tag,
               array_agg(binding_id) AS binding_id
          FROM old) o
 CROSS JOIN LATERAL agi_router.retire_routes(o.block, o.x_number, o.caller_tag, o.binding_id, NULL) p;

-- end_unserved_messages --
-- End texts whose time was over an hour ago: the door that owes them would have done it, and is not served.
WITH late AS (
    SELECT o.block, o.id, o.attempts, o.held
      FROM agi_router.message_out o
      JOIN agi_router.binding b ON b.block = o.block AND b.id = o.binding_id
     WHERE o.expires_at <= now() - interval '1 hour' AND o.next_at <= now() - interval '1 hour'
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
SELECT count(f.state) AS rows
  -- All are locked before the first one ends: two of one binding would meet its changed row.
  FROM (SELECT array_agg(block) AS block, array_agg(id) AS id, array_agg(attempts) AS attempts, array_agg(held) AS held
          FROM late) l
 CROSS JOIN LATERAL unnest(l.block, l.id, l.attempts, l.held) o (block, id, attempts, held)
 CROSS JOIN LATERAL agi_router.finish_message(
       o.block, o.id, o.attempts, CASE WHEN o.held THEN 'failed' ELSE 'expired' END,
       CASE WHEN o.held THEN 'hold_expired' ELSE 'expired' END, NULL) f;

-- delete_parts --
-- Delete parts of texts that have waited for longer than any door has them wait.
WITH gone AS (
    DELETE FROM agi_router.message_part
     WHERE ctid = ANY (ARRAY(
           SELECT ctid
             FROM agi_router.message_part
            WHERE at <= now() - interval '2 days'
            LIMIT %(limit)s
              FOR UPDATE SKIP LOCKED))
    RETURNING number
)
SELECT count(*) AS rows FROM gone;

-- ensure_days --
-- Make the partitions of yesterday to two weeks ahead; returns the days that have none yet, and why.
SELECT p.parent, e.day, e.why
  FROM (VALUES ('call'), ('event'), ('message')) p (parent)
 CROSS JOIN LATERAL agi_router.ensure_days(
       p.parent, (now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 14) e
 ORDER BY p.parent, e.day;

-- try_lock_deletion --
-- One deletes at a time; false where another does.
SELECT pg_try_advisory_lock(7002045) AS locked;

-- unlock_deletion --
-- Let the next one delete.
SELECT pg_advisory_unlock(7002045);

-- today --
-- The day (UTC), by the database's clock.
SELECT (now() AT TIME ZONE 'UTC')::date AS day;

-- find_deletion --
-- The deletion of a kind that is under way, or was interrupted.
SELECT d.* FROM agi_router.deletion d WHERE d.kind = %(kind)s AND d.ended_at IS NULL;

-- is_deleted --
-- A row if all of a kind that was over by the end of a day was looked at before.
SELECT d.id FROM agi_router.deletion d WHERE d.kind = %(kind)s AND d.day >= %(day)s AND NOT d.whole LIMIT 1;

-- find_last_deletion --
-- When retention was last done with a kind, if it ever was; and whether that is days ago.
SELECT max(d.ended_at) AS ended_at, coalesce(max(d.ended_at) < clock_timestamp() - interval '3 days', true) AS late
  FROM agi_router.deletion d;

-- begin_deletion --
-- Begin to delete what of a kind was over by the end of a day.
INSERT INTO agi_router.deletion (kind, day, whole, rule) VALUES (%(kind)s, %(day)s, false, %(rule)s);

-- note_deletion --
-- Note what was deleted, and how far all was looked at.
UPDATE agi_router.deletion d
   SET deleted = d.deleted + %(count)s, digest = %(digest)s, reached_block = %(reached_block)s,
       reached_id = %(reached_id)s, ended_at = CASE WHEN %(ended)s THEN statement_timestamp() END
 WHERE d.id = %(id)s AND d.ended_at IS NULL
RETURNING d.*;

-- list_deletions --
-- Proofs, the latest first; what had nothing to delete is none.
SELECT d.* FROM agi_router.deletion d
 WHERE d.deleted > 0 AND d.ended_at >= %(since)s
 ORDER BY d.ended_at DESC, d.id DESC
 LIMIT %(limit)s;

-- find_old_day --
-- The oldest day of calls, texts or events, if it is before another; else no row.
SELECT o.day
  FROM (SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')) AS day
          FROM pg_catalog.pg_inherits i
          JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = format('agi_router.%%I', %(kind)s::text)::regclass AND c.relname ~ '_[0-9]{8}$') o
 WHERE o.day <= %(day)s;

-- keep_held --
-- Copy what is held of a day to where it stays.
SELECT agi_router.keep_held(%(kind)s, %(day)s) AS rows;

-- move_held --
-- Move what is held of days, up to one, and lies in no table of its day to where it stays.
SELECT agi_router.move_held(%(kind)s, %(day)s) AS rows;

-- detach_day --
-- Take a day out of its table and begin its deletion; false where it cannot be had at once.
SELECT agi_router.detach_day(%(kind)s, %(day)s, %(rule)s) AS done;

-- list_day --
-- Names of the rows of such a day, in order.
SELECT * FROM agi_router.list_day(%(kind)s, %(day)s, %(reached_block)s, %(reached_id)s, %(limit)s::integer);

-- drop_detached --
-- Drop the table of such a day; false where it has to be looked through again.
SELECT agi_router.drop_detached(%(id)s) AS done;

-- describe_kept --
-- The oldest day of each kind, and about how many rows there are.
SELECT * FROM agi_router.describe_kept();

-- find_next_block --
-- Where a walk along the bindings of all blocks goes on: on the block where it stands, or on the next one.
SELECT b.block, CASE WHEN b.block = %(reached_block)s THEN nullif(%(reached_id)s::text, '')::bigint ELSE 0 END AS after
  FROM agi_router.block b
 WHERE b.block > %(reached_block)s OR b.block = %(reached_block)s AND %(reached_id)s::text <> ''
 ORDER BY b.block
 LIMIT 1;

-- delete_over_binding --
-- Walk on along a block's bindings, oldest first, and delete those that had ended before a time, and their routes.
-- until: where the walk stands; null: nothing further was made so long ago.
SELECT * FROM agi_router.delete_bindings(%(block)s, %(after)s, %(before)s, %(limit)s::integer);

-- delete_over_lock --
-- Delete locks that were over before a time, with their appeals.
SELECT agi_router.delete_locks(%(before)s, %(limit)s::integer) AS ids;

-- delete_over_blocklist --
-- Delete entries of the block lists that were over before a time.
SELECT agi_router.delete_blocklist(%(before)s, %(limit)s::integer) AS ids;

-- delete_over_consent --
-- Delete lines of the consent ledger that were withdrawn before a time.
SELECT agi_router.delete_consents(%(before)s, %(limit)s::integer) AS ids;

-- delete_over_recording --
-- Delete recordings of calls before a time.
SELECT agi_router.delete_recordings(%(before)s, %(limit)s::integer) AS ids;

-- delete_over_complaint --
-- Delete complaints that came in before a time.
SELECT agi_router.delete_complaints(%(before)s, %(limit)s::integer) AS ids;

-- delete_over_real_name --
-- Walk on along lines of real names, and delete those that were replaced before a time. until: where the walk stands;
-- null: nothing further was written so long ago.
SELECT d.ids, d.until
  FROM agi_router.delete_real_names(%(before)s, coalesce(%(reached_id)s::bigint, 0), %(limit)s::integer) d;

-- delete_over_old_number --
-- Delete old middle numbers that were moved before a time.
SELECT agi_router.delete_old_numbers(%(before)s, %(limit)s::integer) AS ids;

-- delete_over_hold --
-- Delete holds that were released before a time.
SELECT agi_router.delete_holds(%(before)s, %(limit)s::integer) AS ids;

-- delete_over_person --
-- Walk on along the register of persons, and delete those of whom nothing is kept. until: where the walk stands; null: at
-- its end.
SELECT d.ids, d.until FROM agi_router.delete_persons(coalesce(%(reached_id)s::bigint, 0), %(limit)s::integer) d;

-- delete_over_feed --
-- Delete what runs of feeds have told that were begun before a time; the runs stay, or their files would be read as new.
SELECT agi_router.delete_told(%(before)s) AS ids;

-- delete_over_call --
-- Delete calls of days before a time that lie in no table of their day, or were held and are so no more.
SELECT agi_router.delete_strays('call', %(day)s, %(limit)s::integer) AS ids;

-- delete_over_message --
-- Delete texts of days before a time that lie in no table of their day, or were held and are so no more.
SELECT agi_router.delete_strays('message', %(day)s, %(limit)s::integer) AS ids;

-- delete_over_event --
-- Delete events of days before a time that lie in no table of their day.
SELECT agi_router.delete_strays('event', %(day)s, %(limit)s::integer) AS ids;

-- add_hold --
-- Hold something for a case.
INSERT INTO agi_router.hold (case_id, reason, x_number, person_id, order_id, tenant_id, set_by)
VALUES (%(case_id)s, %(reason)s, %(x_number)s, %(person_id)s, %(order_id)s, %(tenant_id)s, %(set_by)s)
RETURNING id;

-- list_holds --
-- Holds, newest first; of some ids or a case, and those that were released only if that is asked for.
SELECT h.*, t.name AS tenant
  FROM agi_router.hold h
  LEFT JOIN agi_router.tenant t ON t.id = h.tenant_id
 WHERE (%(ids)s::bigint[] IS NULL OR h.id = ANY (%(ids)s))
   AND (%(case_id)s::text IS NULL OR h.case_id = %(case_id)s)
   AND (%(people)s::bigint[] IS NULL OR h.person_id = ANY (%(people)s))
   AND (%(everything)s OR h.released_at IS NULL)
   AND (%(after_at)s::timestamptz IS NULL OR (h.set_at, h.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY h.set_at DESC, h.id DESC
 LIMIT %(limit)s;

-- release_hold --
-- Release a hold that stands.
UPDATE agi_router.hold
   SET released_by = %(released_by)s, released_at = statement_timestamp(), release_note = %(note)s
 WHERE id = %(id)s AND released_at IS NULL
RETURNING id;
