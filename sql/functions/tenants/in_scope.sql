CREATE OR REPLACE FUNCTION agi_router.in_scope(_tenant_id integer, _scope integer)
RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT _scope IS NULL OR _tenant_id = _scope
$$;
COMMENT ON FUNCTION agi_router.in_scope IS 'Whether what belongs to a tenant lies within a scope: that of one tenant, or null, the operator''s. What belongs to none is the operator''s';
