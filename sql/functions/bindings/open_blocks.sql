CREATE OR REPLACE FUNCTION agi_router.open_blocks(
    _tenant text, _digit integer, _draws integer, _serials integer[], _tags bigint[],
    _number_quarantine interval, _party_quarantine interval, _scope integer)
RETURNS TABLE (tenant_id integer, opened_at timestamptz, binding_id bigint, own bigint[], shared bigint[],
               x_number bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- For the settings see agi_router.bind. Blocks of which there may be thousands are drawn, not listed.
BEGIN
    SELECT t.id INTO tenant_id
      FROM agi_router.tenant t
     WHERE t.name = _tenant AND t.active AND agi_router.in_scope(t.id, _scope);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    opened_at := clock_timestamp();
    binding_id := nextval('agi_router.binding_id');
    own := ARRAY(
        SELECT k.block
          FROM agi_router.block k
         WHERE k.tenant_id = open_blocks.tenant_id
           AND agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                                     open_blocks.tenant_id, _digit, opened_at) IS NULL
         ORDER BY random() LIMIT _draws);
    shared := ARRAY(
        SELECT k.block
          FROM agi_router.block k
         WHERE k.tenant_id IS NULL
           AND agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                                     open_blocks.tenant_id, _digit, opened_at) IS NULL
         ORDER BY random() LIMIT _draws);
    IF cardinality(_serials) > 0 THEN
        x_number := (
            SELECT c.x_number
              FROM agi_router.choose_x(
                   coalesce(own[1], shared[1]),
                   ARRAY(SELECT coalesce(own[1], shared[1]) * 10000 + s FROM unnest(_serials) s),
                   _tags, _number_quarantine, _party_quarantine) c);
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION agi_router.open_blocks IS 'For a bind of an active tenant: the time, the number that the binding will have, since it is sealed for it before it is made, and blocks that it may be made in, drawn at random: some of its own, and some that are shared. x_number: of the first of them, one of these serials that can be had by callers of these tags, see agi_router.choose_x; null: none, or none were given. No row: there is no such tenant';
