CREATE OR REPLACE FUNCTION agi_router.take_quota(_tenant_id integer, _count integer)
RETURNS TABLE (quota text, most integer)
LANGUAGE plpgsql AS $$
-- Binds count in a place that is their connection's, and do not wait for each other. Those of others that are under way
-- are not seen; so near a quota, where fewer are left than can be under way, they go one by one. That is a batch for
-- each connection. An import may be any number, and keeps all others waiting from here to its end.
DECLARE
    _batch  CONSTANT integer := 200;
    _margin CONSTANT integer := _batch * current_setting('max_connections')::integer;
    _now    CONSTANT timestamptz := statement_timestamp();
    _today  CONSTANT date := (_now AT TIME ZONE 'UTC')::date;
    allowed record;
    used    record;
BEGIN
    SELECT t.max_bindings, t.max_binds INTO allowed FROM agi_router.tenant t WHERE t.id = _tenant_id AND t.limited;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF _count > _batch THEN
        PERFORM pg_advisory_xact_lock(7002032, _tenant_id);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(7002032, _tenant_id);
    END IF;
    INSERT INTO agi_router.quota_use AS u (tenant_id, place, day, binds, in_all)
    VALUES (_tenant_id, pg_backend_pid() % 8, _today, _count, _count)
        ON CONFLICT (tenant_id, place) DO UPDATE
       SET binds = CASE WHEN u.day = excluded.day THEN u.binds ELSE 0 END + excluded.binds,
           day = excluded.day,
           in_all = u.in_all + excluded.in_all;
    SELECT q.* INTO used FROM agi_router.quota_used(_tenant_id, _today) q;
    IF coalesce(used.binds < allowed.max_binds - _margin, allowed.max_binds IS NULL)
       AND (allowed.max_bindings IS NULL
            OR coalesce(used.alive < allowed.max_bindings - _margin, false)
               AND used.counted_at > _now - interval '1 minute') THEN
        RETURN;
    END IF;
    INSERT INTO agi_router.quota_count (tenant_id) VALUES (_tenant_id) ON CONFLICT DO NOTHING;
    PERFORM 1 FROM agi_router.quota_count c WHERE c.tenant_id = _tenant_id FOR NO KEY UPDATE;
    -- Now with those of others who were here before.
    SELECT q.* INTO used FROM agi_router.quota_used(_tenant_id, _today) q;
    IF allowed.max_bindings IS NOT NULL
       AND coalesce(used.alive > allowed.max_bindings OR used.counted_at <= _now - interval '1 minute', true) THEN
        -- Some of those that were counted have ended meanwhile.
        UPDATE agi_router.quota_count c
           SET alive = n.alive, mark = n.mark, counted_at = _now
          FROM (SELECT (SELECT count(*)
                          FROM agi_router.binding b
                         WHERE b.tenant_id = _tenant_id AND b.ended_at IS NULL AND b.expires_at > _now) AS alive,
                       (SELECT sum(u.in_all) FROM agi_router.quota_use u WHERE u.tenant_id = _tenant_id) AS mark) n
         WHERE c.tenant_id = _tenant_id;
        SELECT q.* INTO used FROM agi_router.quota_used(_tenant_id, _today) q;
    END IF;
    IF used.alive > allowed.max_bindings THEN
        quota := 'bindings';
        most := allowed.max_bindings;
        RETURN NEXT;
    ELSIF used.binds > allowed.max_binds THEN
        quota := 'binds';
        most := allowed.max_binds;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.take_quota IS 'Counts bindings that were just made in this transaction, where their tenant has a quota. A row: they are more than it may have, so the transaction has to be undone. quota: bindings, that live at once; binds, of a day. Exact but for a transaction during which others make as many as may be under way at once';
