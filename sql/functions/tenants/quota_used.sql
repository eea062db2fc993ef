CREATE OR REPLACE FUNCTION agi_router.quota_used(_tenant_id integer, _today date)
RETURNS TABLE (binds bigint, alive bigint, counted_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(u.binds) FILTER (WHERE u.day = _today), 0),
           max(c.alive) + sum(u.in_all) - max(c.mark),
           max(c.counted_at)
      FROM agi_router.quota_use u
      LEFT JOIN agi_router.quota_count c ON c.tenant_id = u.tenant_id
     WHERE u.tenant_id = _tenant_id
$$;
COMMENT ON FUNCTION agi_router.quota_used IS 'What a tenant with a quota has made on a day, and how many of its bindings live at most: those that were counted and what was made since; null: they were not counted';
