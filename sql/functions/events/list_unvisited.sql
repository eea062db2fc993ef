CREATE OR REPLACE FUNCTION agi_router.list_unvisited() RETURNS SETOF integer
LANGUAGE sql AS $$
    SELECT NULL::integer WHERE false
$$;
COMMENT ON FUNCTION agi_router.list_unvisited IS 'The databases behind this one that have events for it, and answered when they were asked last; where all is in this one there are none';
REVOKE EXECUTE ON FUNCTION agi_router.list_unvisited FROM PUBLIC;
