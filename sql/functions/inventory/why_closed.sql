CREATE OR REPLACE FUNCTION agi_router.why_closed(
    _block bigint, _kept_for integer, _state text, _valid_from timestamptz, _valid_until timestamptz,
    _tenant_id integer, _digit integer, _now timestamptz, _pool bigint[] DEFAULT NULL)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN _state <> 'active' THEN _state
                WHEN _valid_from > _now OR _valid_until <= _now THEN 'uncertified'
                WHEN _kept_for <> _tenant_id THEN 'kept'
                WHEN _block / 10000000 % 10 <> _digit THEN 'digit'
                WHEN _block <> ALL (_pool) AND _pool <> '{}' THEN 'pool' END
$$;
COMMENT ON FUNCTION agi_router.why_closed IS 'What keeps new bindings of a tenant out of a block, by what its row says; null: nothing. _digit: the operator digit asked for, or null for any; _pool: the blocks of the pool asked for, none or null for any';
