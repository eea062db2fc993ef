CREATE OR REPLACE FUNCTION agi_router.describe_locks(
    _keys bigint[], _tenant_id integer, _now timestamptz, _strangers bigint[])
RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
-- In plpgsql: see agi_router.passes_locks.
BEGIN
    IF (SELECT true FROM agi_router.lock_mark m WHERE m.key = ANY (_keys) LIMIT 1) IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT jsonb_agg(jsonb_build_object(
                       'id', f.lock_id, 'key', f.key, 'subject', f.subject, 'reason', f.reason,
                       'tenant_id', f.tenant_id, 'sealed', encode(f.sealed, 'hex')))
              FROM agi_router.find_locks(_keys, _tenant_id, _now, _strangers) f);
END
$$;
COMMENT ON FUNCTION agi_router.describe_locks IS 'The locks by these keys that are in force, as an array of objects for whoever opens what is sealed; null: there is none';
