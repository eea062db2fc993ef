CREATE OR REPLACE FUNCTION agi_router.find_locks(
    _keys bigint[], _tenant_id integer, _now timestamptz, _strangers bigint[])
RETURNS TABLE (lock_id bigint, key bigint, subject text, reason text, tenant_id integer, sealed bytea, appeal text)
LANGUAGE sql STABLE AS $$
    SELECT m.lock_id, m.key, m.subject, m.reason, m.tenant_id, m.sealed, m.appeal
      FROM agi_router.lock_mark m
     WHERE m.key = ANY (_keys) AND m.subject <> 'blocklist'
       AND m.starts_at <= _now AND (m.ends_at IS NULL OR m.ends_at > _now)
       AND (m.tenant_id IS NULL OR m.tenant_id = _tenant_id)
       AND m.lock_id <> ALL (_strangers)
$$;
COMMENT ON FUNCTION agi_router.find_locks IS 'The locks by these keys that are in force at a time for a tenant, but for _strangers; a tag may be that of somebody else, so a sealed number is opened before anything is done by it';
