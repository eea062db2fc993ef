-- Who had real numbers shown to him.

-- record_revelation --
-- Write down that somebody has real numbers shown to him.
INSERT INTO agi_router.audit (uid, name, effective_uid, login_uid, claimed, host, act, subject, reason)
VALUES (%(uid)s, %(name)s, %(effective_uid)s, %(login_uid)s, %(claimed)s, %(host)s, %(act)s, %(subject)s,
        %(reason)s);

-- list_audit --
-- Who had real numbers shown to him since a time, newest first.
SELECT at, uid, name, effective_uid, login_uid, claimed, host, act, subject, reason
  FROM agi_router.audit
 WHERE at >= %(since)s
 ORDER BY at DESC, id DESC
 LIMIT %(limit)s;
