CREATE OR REPLACE FUNCTION agi_router.tell_low(_tenant_id integer, _pool text, _low boolean, _data jsonb) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
    _day_ago timestamptz := _now - interval '1 day';
    _new boolean;
BEGIN
    INSERT INTO agi_router.notice (tenant_id, type, subject, looked_at)
    VALUES (_tenant_id, 'pool.low', _pool, _now)
        ON CONFLICT DO NOTHING;
    -- What goes up and down about a limit is told once a day at most.
    SELECT _low AND (n.told_at IS NULL OR n.over_at > n.told_at AND n.told_at <= _day_ago)
      INTO _new
      FROM agi_router.notice n
     WHERE n.tenant_id = _tenant_id AND n.type = 'pool.low' AND n.subject = _pool
       FOR UPDATE;
    UPDATE agi_router.notice n
       SET looked_at = _now,
           told_at = CASE WHEN _new THEN _now ELSE n.told_at END,
           over_at = CASE WHEN _low THEN n.over_at ELSE _now END
     WHERE n.tenant_id = _tenant_id AND n.type = 'pool.low' AND n.subject = _pool;
    IF _new IS NOT TRUE THEN
        RETURN 0;
    END IF;
    PERFORM agi_router.tell(NULL, NULL, _tenant_id, 'pool.low', NULL, _data);
    RETURN 1;
END
$$;
COMMENT ON FUNCTION agi_router.tell_low IS 'Keeps whether a tenant has few numbers, of all that are kept for it or of a pool, and tells it where that is new. Returns how often it was told';
