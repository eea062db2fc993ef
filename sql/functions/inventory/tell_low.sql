CREATE OR REPLACE FUNCTION agi_router.tell_low(_tenant_id integer, _pool text, _low boolean, _data jsonb) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
    _day_ago timestamptz := _now - interval '1 day';
    _told_at timestamptz;
BEGIN
    INSERT INTO agi_router.notice (tenant_id, type, subject, looked_at)
    VALUES (_tenant_id, 'pool.low', _pool, _now)
        ON CONFLICT DO NOTHING;
    SELECT n.told_at
      INTO _told_at
      FROM agi_router.notice n
     WHERE n.tenant_id = _tenant_id AND n.type = 'pool.low' AND n.subject = _pool
       FOR UPDATE;
    -- What goes up and down about a limit is told once a day at most.
    UPDATE agi_router.notice n
       SET looked_at = _now,
           told_at = CASE WHEN _low THEN coalesce(n.told_at, _now) WHEN n.told_at > _day_ago THEN n.told_at END
     WHERE n.tenant_id = _tenant_id AND n.type = 'pool.low' AND n.subject = _pool;
    IF NOT _low OR _told_at IS NOT NULL THEN
        RETURN 0;
    END IF;
    PERFORM agi_router.tell(NULL, NULL, _tenant_id, 'pool.low', NULL, _data);
    RETURN 1;
END
$$;
COMMENT ON FUNCTION agi_router.tell_low IS 'Keeps whether a tenant has few numbers, of all that are kept for it or of a pool, and tells it where that is new. Returns how often it was told';
