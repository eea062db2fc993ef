CREATE OR REPLACE FUNCTION agi_router.list_routers_behind()
RETURNS TABLE (pid integer, application_name text, role text, address text, address_told boolean)
LANGUAGE sql STABLE AS $$
    SELECT NULL::integer, NULL::text, NULL::text, NULL::text, NULL::boolean WHERE false
$$;
COMMENT ON FUNCTION agi_router.list_routers_behind IS 'The connections of routers to cells; none where all is in this database';
