CREATE OR REPLACE FUNCTION agi_router.passes_locks(
    _keys bigint[], _person bigint[], _callee_tags bigint[], _tenant_id integer, _now timestamptz,
    _strangers bigint[])
RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
-- In plpgsql: nothing of it is planned for a call that meets no mark.
BEGIN
    RETURN NOT EXISTS (SELECT 1
                         FROM agi_router.find_locks(_keys || _person, _tenant_id, _now, _strangers))
       AND EXISTS (SELECT 1
                     FROM unnest(_callee_tags) c (tag)
                    WHERE NOT EXISTS (SELECT 1
                                        FROM agi_router.find_locks(
                                             ARRAY[c.tag], _tenant_id, _now, _strangers))
                      AND NOT EXISTS (SELECT 1
                                        FROM agi_router.find_bans(
                                             _person, ARRAY[c.tag], _tenant_id, _now, _strangers)));
END
$$;
COMMENT ON FUNCTION agi_router.passes_locks IS 'Whether no lock is in force on what a call uses (_keys: its numbers, block and tenant) and on its caller, and one of those whom it rings is free of them and on no block list with the caller';
