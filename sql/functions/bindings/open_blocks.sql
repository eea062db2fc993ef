CREATE OR REPLACE FUNCTION agi_router.open_blocks(
    _tenant text, _digit integer, _draws integer, _count integer, _scope integer,
    _pool bigint[])
RETURNS TABLE (
    tenant_id integer, limited boolean, needs_order boolean, ruled boolean, qualified boolean, opened_at timestamptz,
    binding_ids bigint[], own bigint[], shared bigint[])
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- For the settings see agi_router.bind. Blocks of which there may be thousands are drawn, not listed.
BEGIN
    opened_at := clock_timestamp();
    SELECT t.id, t.limited, t.needs_order, t.ruled,
           t.qualified_from <= opened_at AND t.qualified_until > opened_at
      INTO tenant_id, limited, needs_order, ruled, qualified
      FROM agi_router.tenant t
     WHERE t.name = _tenant AND t.active AND agi_router.in_scope(t.id, _scope);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    binding_ids := ARRAY(SELECT nextval('agi_router.binding_id') FROM generate_series(1, _count));
    own := ARRAY(
        SELECT k.block
          FROM agi_router.block k
         WHERE k.tenant_id = open_blocks.tenant_id
           AND agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                                     open_blocks.tenant_id, _digit, opened_at, _pool) IS NULL
           AND (SELECT true FROM agi_router.lock_mark m
                 WHERE m.key = k.block AND m.starts_at <= opened_at
                   AND (m.ends_at IS NULL OR m.ends_at > opened_at) LIMIT 1) IS NULL
         ORDER BY random() LIMIT _draws);
    shared := ARRAY(
        SELECT k.block
          FROM agi_router.block k
         WHERE k.tenant_id IS NULL
           AND agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                                     open_blocks.tenant_id, _digit, opened_at, _pool) IS NULL
           AND (SELECT true FROM agi_router.lock_mark m
                 WHERE m.key = k.block AND m.starts_at <= opened_at
                   AND (m.ends_at IS NULL OR m.ends_at > opened_at) LIMIT 1) IS NULL
         ORDER BY random() LIMIT _draws);
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION agi_router.open_blocks IS 'For binds of an active tenant: whether it has a quota, needs orders, has other rules of its own, and a qualification that is valid, the time, the numbers that so many bindings will have, since they are sealed for them before they are made, and blocks that they may be made in, drawn at random: some of its own, and some that are shared. No row: there is no such tenant';
