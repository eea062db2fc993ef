CREATE OR REPLACE FUNCTION agi_router.refuse_locked(
    _block bigint, _binding_id bigint, _x_number bigint[], _caller_tag bigint[], _shown bigint[], _callee_tags text[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _strangers bigint[] := coalesce(nullif(current_setting('agi_router.strangers', true), ''), '{}')::bigint[];
    _tenant_id integer;
    _keys      bigint[];
BEGIN
    SELECT b.tenant_id INTO _tenant_id FROM agi_router.binding b WHERE b.block = _block AND b.id = _binding_id;
    _keys := _x_number || _caller_tag || _shown || ARRAY[_block, _tenant_id]
             || ARRAY(SELECT unnest(c::bigint[]) FROM unnest(_callee_tags) c);
    PERFORM agi_router.await_locks(_keys);
    IF EXISTS (SELECT 1 FROM agi_router.find_locks(_keys, _tenant_id, clock_timestamp(), _strangers)) THEN
        RAISE 'a lock is in force' USING ERRCODE = 'AR004';
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.refuse_locked IS 'Fails with AR004 where a number of these routes of a binding, a person, the block or the tenant is locked; until the transaction ends nobody sets such a lock. agi_router.strangers: a setting of the session, the locks that are known to be of somebody else with the same tag';
