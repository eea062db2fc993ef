-- The audit: who had real numbers shown to him, and who changed what opens them; and its chain.

-- record_act --
-- Write down that somebody has real numbers shown to him, or changes something: with what this transaction has changed of
-- what agi_router.note_change looks after, since it wrote such a row last.
INSERT INTO agi_router.audit (uid, name, effective_uid, login_uid, claimed, host, act, subject, reason, api_key,
                              request_id, case_id, role, address, tag, before, after)
SELECT %(uid)s, %(name)s, %(effective_uid)s, %(login_uid)s, %(claimed)s, %(host)s, %(act)s, %(subject)s,
       %(reason)s, %(api_key)s, %(request_id)s, %(case_id)s, coalesce(%(role)s, session_user), %(address)s,
       %(tag)s::bigint, coalesce(%(before)s::jsonb, c.before), coalesce(%(after)s::jsonb, c.after)
  FROM agi_router.take_changes() c;

-- list_audit --
-- What was written down since a time, newest first.
SELECT id, at, uid, name, effective_uid, login_uid, claimed, host, act, subject, reason, api_key, request_id, case_id,
       role, address, tag, before, after
  FROM agi_router.audit
 WHERE at >= %(since)s
   AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
   AND (%(act)s::text IS NULL OR starts_with(act, %(act)s))
   AND (%(name)s::text IS NULL OR name = %(name)s)
   AND (%(api_key)s::text IS NULL OR api_key = %(api_key)s)
   AND (%(case_id)s::text IS NULL OR case_id = %(case_id)s)
   AND (%(tags)s::bigint[] IS NULL OR tag = ANY (%(tags)s))
   AND (%(after_at)s::timestamptz IS NULL OR (at, id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY at DESC, id DESC
 LIMIT %(limit)s;

-- count_acts --
-- How often somebody did one of these in the last hour: a user of a host, or an API key; and in how many seconds it is one
-- less than the most.
SELECT count(*) AS times,
       ceil(extract(epoch FROM (array_agg(at ORDER BY at DESC))[%(most)s] + interval '1 hour' - clock_timestamp()))::integer AS wait
  FROM agi_router.audit
 WHERE at > clock_timestamp() - interval '1 hour' AND act = ANY (%(acts)s)
   AND CASE WHEN %(api_key)s::text IS NULL THEN api_key IS NULL AND uid = %(uid)s AND host = %(host)s
            ELSE api_key = %(api_key)s END;

-- find_settings --
-- The settings that somebody has served with last.
SELECT a.after
  FROM agi_router.audit a
 WHERE a.act = 'settings' AND a.subject = %(subject)s AND a.uid = %(uid)s AND a.host = %(host)s
 ORDER BY a.id DESC
 LIMIT 1;

-- lock_chain --
-- One signs at a time; the others wait.
SELECT pg_advisory_xact_lock(7002040);

-- find_chain_end --
-- The place before the first of the chain, the last place, and the time; places 0: it is empty.
SELECT coalesce(min(c.position), 1) - 1 AS begin, coalesce(max(c.position), 0) AS position, statement_timestamp() AS now
  FROM agi_router.audit_chain c;

-- find_chain_digest --
-- The digest at a place of the chain.
SELECT digest FROM agi_router.audit_chain WHERE position = %(position)s;

-- list_unchained --
-- Rows of the audit of some time that have no place yet, as they were written.
SELECT a.id, a.at, a.uid, a.name, a.effective_uid, a.login_uid, a.claimed, a.host, a.act, a.subject, a.reason,
       a.api_key, a.request_id, a.case_id, a.role, a.address, a.tag, a.before, a.after
  FROM agi_router.audit a
 WHERE a.at >= %(since)s::timestamptz AND a.at < %(until)s::timestamptz
   AND NOT EXISTS (SELECT 1 FROM agi_router.audit_chain c WHERE c.audit_id = a.id)
 ORDER BY a.id
 LIMIT %(limit)s;

-- append_chain --
-- Give rows the next places.
INSERT INTO agi_router.audit_chain (position, audit_id, algorithm, digest)
SELECT n.position, n.audit_id, %(algorithm)s, n.digest
  FROM unnest(%(positions)s::bigint[], %(audit_ids)s::bigint[], %(digests)s::bytea[]) n (position, audit_id, digest);

-- keep_head --
-- Keep a copy of a head that was signed.
INSERT INTO agi_router.audit_head (signed_at, position, digest, key, signature)
VALUES (%(signed_at)s, %(position)s, %(digest)s, %(key)s, %(signature)s)
    ON CONFLICT DO NOTHING;

-- list_heads --
-- Copies of heads, the newest first.
SELECT h.signed_at, h.position, h.digest, h.key, h.signature
  FROM agi_router.audit_head h
 WHERE %(after_at)s::timestamptz IS NULL OR (h.signed_at, h.key) < (%(after_at)s, %(after_key)s)
 ORDER BY h.signed_at DESC, h.key DESC
 LIMIT %(limit)s;

-- list_heads_behind --
-- Copies of heads from a place on, and the newest one.
(SELECT DISTINCT ON (h.position) h.signed_at, h.position, h.digest, h.key, h.signature
   FROM agi_router.audit_head h
  WHERE h.position >= greatest(%(after)s, (SELECT min(c.position) - 1 FROM agi_router.audit_chain c))
  ORDER BY h.position, h.signed_at DESC
  LIMIT %(limit)s)
 UNION
(SELECT h.signed_at, h.position, h.digest, h.key, h.signature
   FROM agi_router.audit_head h
  ORDER BY h.signed_at DESC
  LIMIT 1)
 ORDER BY 2, 1;

-- try_lock_look --
-- One looks at the audit by HTTP at a time; false where another does.
SELECT pg_try_advisory_lock(7002048) AS locked;

-- unlock_look --
-- Let another one look.
SELECT pg_advisory_unlock(7002048);

-- list_chain --
-- A stretch of the chain in its order, each place with its row.
SELECT c.position, c.audit_id, c.algorithm, c.digest, a.id, a.at, a.uid, a.name, a.effective_uid, a.login_uid,
       a.claimed, a.host, a.act, a.subject, a.reason, a.api_key, a.request_id, a.case_id, a.role, a.address, a.tag,
       a.before, a.after
  FROM agi_router.audit_chain c
  LEFT JOIN agi_router.audit a ON a.id = c.audit_id
 WHERE c.position > %(after)s AND c.position <= %(until)s
 ORDER BY c.position;

-- find_inserted --
-- Rows of the audit of some time that have no place. Each place is looked up: an anti join of a short time reads the whole chain.
SELECT a.id
  FROM agi_router.audit a
 WHERE a.at >= %(since)s::timestamptz AND a.at < %(until)s::timestamptz
   AND (SELECT c.audit_id FROM agi_router.audit_chain c WHERE c.audit_id = a.id) IS NULL
 ORDER BY a.id
 LIMIT %(limit)s;

-- count_unchained --
-- How many rows since a time have no place yet, among so many newest ones.
SELECT count(*) AS rows
  FROM (SELECT a.id
          FROM agi_router.audit a
         WHERE a.at >= %(since)s::timestamptz
         ORDER BY a.at DESC
         LIMIT %(limit)s) n
 WHERE (SELECT c.audit_id FROM agi_router.audit_chain c WHERE c.audit_id = n.id) IS NULL;

-- lock_digests --
-- One makes the digests of days at a time; the others leave it.
SELECT pg_try_advisory_xact_lock(7002047) AS locked;

-- list_undigested --
-- Days (UTC) of some that have no digest yet, since this database serves.
SELECT d::date AS day
  FROM generate_series(greatest(%(first)s::date, (SELECT min(t.created_at)::date FROM agi_router.tenant t)),
                       %(last)s::date, interval '1 day') d
 WHERE d::date::text NOT IN (SELECT left(a.subject, 10)
                               FROM agi_router.audit a
                              WHERE a.at >= %(first)s::date AND a.act = %(act)s)
 ORDER BY 1;

-- list_digests --
-- The digests of days that were written down.
SELECT a.id, a.at, a.subject FROM agi_router.audit a WHERE a.act = %(act)s ORDER BY a.id;

-- digest_binds --
-- How many bindings were made on a day, and a digest of their names.
SELECT coalesce(sum(g.n), 0)::bigint AS count, coalesce(sum(g.n), 0)::bigint AS there,
       sha256(coalesce(string_agg(g.digest, ''::bytea ORDER BY g.block), ''::bytea)) AS digest
  FROM (SELECT b.block, count(*) AS n,
               sha256(convert_to(string_agg(b.id::text, ',' ORDER BY b.id), 'UTF8')) AS digest
          FROM agi_router.tenant t
         CROSS JOIN LATERAL (
               SELECT o.block, o.id
                 FROM agi_router.binding o
                WHERE o.tenant_id = t.id AND o.begins_at >= %(day)s::date::timestamptz
                  AND o.begins_at < (%(day)s::date + 1)::timestamptz) b
         GROUP BY b.block) g;

-- digest_calls --
-- How many calls there were on a day, and a digest of their ids; there: without those that are kept as they are held.
SELECT coalesce(sum(g.n), 0)::bigint AS count, coalesce(sum(g.n - g.kept), 0)::bigint AS there,
       sha256(coalesce(string_agg(g.digest, ''::bytea ORDER BY g.block), ''::bytea)) AS digest
  FROM (SELECT c.block, count(*) AS n, count(*) FILTER (WHERE c.kept) AS kept,
               sha256(convert_to(string_agg(c.id, ',' ORDER BY c.id COLLATE "C"), 'UTF8')) AS digest
          FROM (SELECT o.block, o.id, false AS kept FROM agi_router.call o WHERE o.day = %(day)s
                UNION ALL
                SELECT k.block, k.id, true
                  FROM agi_router.kept_call k
                 WHERE k.day = %(day)s
                   AND NOT EXISTS (SELECT 1
                                     FROM agi_router.call o
                                    WHERE o.day = %(day)s AND o.block = k.block AND o.id = k.id)) c
         GROUP BY c.block) g;

-- digest_texts --
-- How many texts were accepted on a day, and a digest of their ids; there: without those that are kept as they are held.
SELECT coalesce(sum(g.n), 0)::bigint AS count, coalesce(sum(g.n - g.kept), 0)::bigint AS there,
       sha256(coalesce(string_agg(g.digest, ''::bytea ORDER BY g.block), ''::bytea)) AS digest
  FROM (SELECT m.block, count(*) AS n, count(*) FILTER (WHERE m.kept) AS kept,
               sha256(convert_to(string_agg(m.id, ',' ORDER BY m.id COLLATE "C"), 'UTF8')) AS digest
          FROM (SELECT o.block, o.id, false AS kept FROM agi_router.message o WHERE o.day = %(day)s
                UNION ALL
                SELECT k.block, k.id, true
                  FROM agi_router.kept_message k
                 WHERE k.day = %(day)s
                   AND NOT EXISTS (SELECT 1
                                     FROM agi_router.message o
                                    WHERE o.day = %(day)s AND o.block = k.block AND o.id = k.id)) m
         GROUP BY m.block) g;

-- digest_events --
-- How many events were written on a day, and a digest of their ids.
SELECT coalesce(sum(g.n), 0)::bigint AS count, coalesce(sum(g.n), 0)::bigint AS there,
       sha256(coalesce(string_agg(g.digest, ''::bytea ORDER BY g.part), ''::bytea)) AS digest
  FROM (SELECT e.id / 100000 AS part, count(*) AS n,
               sha256(convert_to(string_agg(e.id::text, ',' ORDER BY e.id), 'UTF8')) AS digest
          FROM agi_router.event e
         WHERE e.day = %(day)s
         GROUP BY 1) g;

-- find_deletion_since --
-- Whether retention is deleting of a kind and day, or has deleted, since. It does not before six months have passed, and
-- the audit has a row of each deletion that has ended: whoever writes another row here excuses nothing. One that was
-- broken off is gone on with by the next sweep: what has not ended for a day excuses nothing either.
SELECT coalesce(bool_or(d.ended_at IS NULL AND d.begun_at > clock_timestamp() - interval '1 day'
                        OR EXISTS (SELECT 1
                                     FROM agi_router.audit a
                                    WHERE a.at >= d.begun_at AND a.act = 'retention'
                                      AND starts_with(a.subject, d.kind || ' ')
                                      AND a.subject LIKE '%% sha256 ' || encode(d.digest, 'hex'))), false) AS found
  FROM agi_router.deletion d
 WHERE d.kind = %(kind)s AND d.deleted > 0
   AND CASE WHEN d.whole THEN d.day = %(day)s ELSE d.day >= %(day)s END
   AND least(d.ended_at, clock_timestamp()) > %(since)s
   AND %(day)s::date <= agi_router.last_free_day(least(d.ended_at, clock_timestamp()));
