CREATE OR REPLACE FUNCTION agi_router.describe_locks(
    _keys bigint[], _own bigint[], _callee_tags bigint[], _tenant_id integer, _now timestamptz,
    _strangers bigint[])
RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
-- In plpgsql: see agi_router.passes_locks.
BEGIN
    IF (SELECT true FROM agi_router.lock_mark m WHERE m.key = ANY (_keys || _own || _callee_tags) LIMIT 1) IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT jsonb_agg(f.mark)
              FROM (SELECT jsonb_build_object(
                               'id', l.lock_id, 'key', l.key, 'subject', l.subject, 'reason', l.reason,
                               'tenant_id', l.tenant_id, 'sealed', encode(l.sealed, 'hex'), 'appeal', l.appeal) AS mark
                      FROM agi_router.find_locks(_keys, _tenant_id, _now, _strangers) l
                     UNION ALL
                    SELECT jsonb_build_object(
                               'id', b.entry_id, 'key', b.key, 'subject', 'blocklist',
                               'sealed', encode(b.sealed, 'hex'), 'other_key', b.other_key,
                               'other_sealed', encode(b.other_sealed, 'hex'), 'direction', b.direction)
                      FROM agi_router.find_bans(_own, _callee_tags, _tenant_id, _now, _strangers) b) f);
END
$$;
COMMENT ON FUNCTION agi_router.describe_locks IS 'The locks by _keys, and the entries of block lists between _own and _callee_tags, that are in force, as an array of objects for whoever opens what is sealed; null: there is none';
