CREATE OR REPLACE FUNCTION agi_router.tell_expiring(_ahead interval) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
    _until timestamptz := _now + _ahead;
    _told integer := 0;
    _each record;
BEGIN
    DELETE FROM agi_router.notice n
     WHERE n.type = 'block.expiring'
       AND NOT EXISTS (SELECT k.block
                         FROM agi_router.block k
                        WHERE k.block::text = n.subject AND k.state <> 'returned' AND k.valid_until <= _until);
    IF NOT EXISTS (SELECT t.id FROM agi_router.tenant t WHERE 'block.expiring' = ANY (t.told)) THEN
        RETURN 0;
    END IF;
    FOR _each IN
        SELECT k.block, k.state, k.valid_until, k.tenant_id IS NULL AS shared, t.id AS tenant_id
          FROM agi_router.block k
         CROSS JOIN LATERAL (
               SELECT k.tenant_id AS id
                WHERE k.tenant_id IS NOT NULL
                UNION
               SELECT b.tenant_id
                 FROM agi_router.binding b
                WHERE k.tenant_id IS NULL AND b.block = k.block AND b.ended_at IS NULL AND b.expires_at > _now) w
          JOIN agi_router.tenant t ON t.id = w.id AND 'block.expiring' = ANY (t.told)
         WHERE k.state <> 'returned' AND k.valid_until > _now AND k.valid_until <= _until
         ORDER BY k.block, t.id
    LOOP
        INSERT INTO agi_router.notice (tenant_id, type, subject, looked_at, told_at)
        VALUES (_each.tenant_id, 'block.expiring', _each.block::text, _now, _now)
            ON CONFLICT DO NOTHING;
        IF FOUND THEN
            PERFORM agi_router.tell(
                NULL, NULL, _each.tenant_id, 'block.expiring', NULL,
                jsonb_build_object('block', _each.block::text, 'state', _each.state, 'valid_until', _each.valid_until,
                                   'shared', _each.shared));
            _told := _told + 1;
        END IF;
    END LOOP;
    RETURN _told;
END
$$;
COMMENT ON FUNCTION agi_router.tell_expiring IS 'Tells of blocks whose certificate ends within a time, each once: whom one is kept for, or who has live bindings in a shared one. Returns how many were told';
