-- Who had real numbers shown to him, and who changed what opens them.

-- record_act --
-- Write down that somebody has real numbers shown to him, or changes what opens them.
INSERT INTO agi_router.audit (uid, name, effective_uid, login_uid, claimed, host, act, subject, reason, api_key,
                              request_id)
VALUES (%(uid)s, %(name)s, %(effective_uid)s, %(login_uid)s, %(claimed)s, %(host)s, %(act)s, %(subject)s,
        %(reason)s, %(api_key)s, %(request_id)s);

-- list_audit --
-- What was written down since a time, newest first.
SELECT at, uid, name, effective_uid, login_uid, claimed, host, act, subject, reason, api_key, request_id
  FROM agi_router.audit
 WHERE at >= %(since)s
 ORDER BY at DESC, id DESC
 LIMIT %(limit)s;
