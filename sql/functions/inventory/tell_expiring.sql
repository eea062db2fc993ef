CREATE OR REPLACE FUNCTION agi_router.tell_expiring(_tenants integer[], _expiring bigint) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
    _told integer := 0;
    _found record;
    _each integer;
BEGIN
    SELECT k.state, k.valid_until, k.tenant_id IS NULL AS shared INTO _found FROM agi_router.block k WHERE k.block = _expiring;
    IF _found.shared THEN
        -- One look at the block, however many there are.
        _tenants := ARRAY(
            SELECT DISTINCT b.tenant_id
              FROM agi_router.binding b
             WHERE b.block = _expiring AND b.tenant_id = ANY (_tenants) AND b.ended_at IS NULL AND b.expires_at > _now
             ORDER BY b.tenant_id);
    END IF;
    FOREACH _each IN ARRAY _tenants LOOP
        UPDATE agi_router.notice n
           SET told_at = _now
         WHERE n.tenant_id = _each AND n.type = 'block.expiring' AND n.subject = _expiring::text AND n.told_at IS NULL;
        IF FOUND THEN
            PERFORM agi_router.tell(
                NULL, NULL, _each, 'block.expiring', NULL,
                jsonb_build_object('block', _expiring::text, 'state', _found.state, 'valid_until', _found.valid_until,
                                   'shared', _found.shared));
            _told := _told + 1;
        END IF;
    END LOOP;
    RETURN _told;
END
$$;
COMMENT ON FUNCTION agi_router.tell_expiring IS 'Tells those of some tenants that a block''s certificate ends soon whom it is kept for, or who have live bindings in it and it is shared, each once. Returns how many were told';
