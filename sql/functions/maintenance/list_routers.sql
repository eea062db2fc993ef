CREATE OR REPLACE FUNCTION agi_router.list_routers()
RETURNS TABLE (pid integer, application_name text, role text, address text, address_told boolean)
LANGUAGE sql STABLE AS $$
    SELECT a.pid, a.application_name, a.usename::text, host(a.client_addr), a.client_port IS NOT NULL
      FROM pg_catalog.pg_stat_activity a
     WHERE a.datname = current_database()
       AND (a.application_name LIKE 'agi_router serve%' OR a.application_name LIKE 'agi_router deliver%')
       AND has_schema_privilege(a.usesysid, 'agi_router', 'USAGE')
$$;
COMMENT ON FUNCTION agi_router.list_routers IS 'The connections of routers to this database; another role''s address is told to members of pg_read_all_stats only';
