CREATE OR REPLACE FUNCTION agi_router.find_facts_within(
    _block bigint, _x_number bigint, _tags bigint[], _now timestamptz, _person bigint[],
    _strangers bigint[], _scope integer)
RETURNS agi_router.facts
LANGUAGE plpgsql STABLE AS $$
-- For people who look, not for calls: what a tenant may not see is as if it were not there. Of the tags
-- those stay that lead to its own bindings; a block of another tenant is none.
DECLARE
    facts agi_router.facts;
    _own  bigint[];
BEGIN
    IF _scope IS NULL THEN
        RETURN agi_router.find_facts(_block, _x_number, _tags, _now, _person, _strangers);
    END IF;
    _own := ARRAY(
        SELECT t.tag
          FROM unnest(_tags) WITH ORDINALITY t (tag, place)
          JOIN agi_router.route r
            ON r.block = _block AND r.x_number = _x_number AND r.caller_tag = t.tag
          JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
         WHERE agi_router.in_scope(b.tenant_id, _scope)
         ORDER BY t.place);
    -- Whether somebody is locked is told of its own parties only: who calls where anyone may, or types an
    -- extension, is none by that.
    facts := agi_router.find_facts(
        _block, _x_number, _own, _now,
        CASE WHEN _own && _person THEN _person ELSE ARRAY[]::bigint[] END, _strangers);
    facts.x_bound := EXISTS (
        SELECT 1
          FROM agi_router.route r
          JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
         WHERE r.block = _block AND r.x_number = _x_number AND agi_router.in_scope(b.tenant_id, _scope)
           AND b.ended_at IS NULL AND b.expires_at > _now);
    facts.x_extended := facts.x_extended AND EXISTS (
        SELECT 1
          FROM agi_router.binding b
         WHERE b.block = _block AND b.open_number = _x_number AND b.mode = 'axe'
           AND agi_router.in_scope(b.tenant_id, _scope)
           AND b.ended_at IS NULL AND b.expires_at > _now);
    IF NOT EXISTS (SELECT 1
                     FROM agi_router.block k
                    WHERE k.block = _block
                      AND (k.tenant_id IS NULL OR agi_router.in_scope(k.tenant_id, _scope)))
       AND facts.binding_id IS NULL THEN
        facts.block_known := false;
        facts.certificate_valid := false;
    END IF;
    RETURN facts;
END
$$;
COMMENT ON FUNCTION agi_router.find_facts_within IS 'The facts as they stand, so far as they lie within a scope; nothing taken. _tags in order of preference; _person and _strangers: see agi_router.admit';
