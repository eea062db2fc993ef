CREATE OR REPLACE FUNCTION agi_router.why_closed(k agi_router.block, _tenant_id integer, _digit integer, _now timestamptz)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN k.state <> 'active' THEN k.state
                WHEN k.valid_from > _now OR k.valid_until <= _now THEN 'uncertified'
                WHEN k.tenant_id <> _tenant_id THEN 'kept'
                WHEN k.block / 10000000 % 10 <> _digit THEN 'digit' END
$$;
COMMENT ON FUNCTION agi_router.why_closed IS 'What keeps new bindings of a tenant out of a block; null: nothing. _digit: the operator digit asked for, or null for any';
