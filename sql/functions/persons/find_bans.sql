CREATE OR REPLACE FUNCTION agi_router.find_bans(
    _own bigint[], _callee_tags bigint[], _tenant_id integer, _now timestamptz, _strangers bigint[])
RETURNS TABLE (entry_id bigint, key bigint, sealed bytea, other_key bigint, other_sealed bytea, direction text)
LANGUAGE sql STABLE AS $$
    SELECT m.lock_id, m.key, m.sealed, m.other_key, m.other_sealed, m.direction
      FROM agi_router.lock_mark m
     WHERE m.subject = 'blocklist'
       AND (m.key = ANY (_own) AND m.direction <> 'in'
            AND (m.other_key IS NULL OR m.other_key = ANY (_callee_tags))
            OR m.key = ANY (_callee_tags) AND m.direction <> 'out'
               AND (m.other_key IS NULL OR m.other_key = ANY (_own)))
       AND m.starts_at <= _now AND (m.ends_at IS NULL OR m.ends_at > _now)
       AND (m.tenant_id IS NULL OR m.tenant_id = _tenant_id)
       AND m.lock_id <> ALL (_strangers)
$$;
COMMENT ON FUNCTION agi_router.find_bans IS 'The entries of block lists in force for a tenant that keep a person with tags _own from those with _callee_tags, but for _strangers; a tag may be that of somebody else, so sealed numbers are opened before anything is done by it';
