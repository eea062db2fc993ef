CREATE OR REPLACE FUNCTION agi_router.list_visits() RETURNS TABLE (cell integer, due boolean)
LANGUAGE sql AS $$
    SELECT NULL::integer, NULL::boolean WHERE false
$$;
COMMENT ON FUNCTION agi_router.list_visits IS 'The databases behind this one that have events for it, and whether they are to be asked now; where all is in this one there are none';
REVOKE EXECUTE ON FUNCTION agi_router.list_visits FROM PUBLIC;
