-- The audit: who had real numbers shown to him, and who changed what opens them; and its chain.

-- record_act --
-- Write down that somebody has real numbers shown to him, or changes what opens them.
INSERT INTO agi_router.audit (uid, name, effective_uid, login_uid, claimed, host, act, subject, reason, api_key,
                              request_id, case_id)
VALUES (%(uid)s, %(name)s, %(effective_uid)s, %(login_uid)s, %(claimed)s, %(host)s, %(act)s, %(subject)s,
        %(reason)s, %(api_key)s, %(request_id)s, %(case_id)s);

-- list_audit --
-- What was written down since a time, newest first.
SELECT at, uid, name, effective_uid, login_uid, claimed, host, act, subject, reason, api_key, request_id, case_id
  FROM agi_router.audit
 WHERE at >= %(since)s
 ORDER BY at DESC, id DESC
 LIMIT %(limit)s;

-- count_acts --
-- How often somebody did one of these in the last hour: a user of a host, or an API key.
SELECT count(*) AS times
  FROM agi_router.audit
 WHERE at > clock_timestamp() - interval '1 hour' AND act = ANY (%(acts)s)
   AND CASE WHEN %(api_key)s::text IS NULL THEN api_key IS NULL AND uid = %(uid)s AND host = %(host)s
            ELSE api_key = %(api_key)s END;

-- lock_chain --
-- One signs at a time; the others wait.
SELECT pg_advisory_xact_lock(7002040);

-- find_chain_end --
-- The last place of the chain, and the time; place 0: it is empty.
SELECT coalesce(max(c.position), 0) AS position, statement_timestamp() AS now
  FROM agi_router.audit_chain c;

-- find_chain_digest --
-- The digest at a place of the chain.
SELECT digest FROM agi_router.audit_chain WHERE position = %(position)s;

-- list_unchained --
-- Rows of the audit of some time that have no place yet, as they were written.
SELECT a.id, a.at, a.uid, a.name, a.effective_uid, a.login_uid, a.claimed, a.host, a.act, a.subject, a.reason,
       a.api_key, a.request_id, a.case_id
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

-- list_chain --
-- The chain in its order, each place with its row.
SELECT c.position, c.audit_id, c.algorithm, c.digest, a.id, a.at, a.uid, a.name, a.effective_uid, a.login_uid,
       a.claimed, a.host, a.act, a.subject, a.reason, a.api_key, a.request_id, a.case_id
  FROM agi_router.audit_chain c
  LEFT JOIN agi_router.audit a ON a.id = c.audit_id
 ORDER BY c.position;

-- count_unchained --
-- How many rows since a time have no place yet.
SELECT count(*) AS rows
  FROM agi_router.audit a
 WHERE a.at >= %(since)s::timestamptz
   AND NOT EXISTS (SELECT 1 FROM agi_router.audit_chain c WHERE c.audit_id = a.id);
