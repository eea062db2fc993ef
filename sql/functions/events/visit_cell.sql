CREATE OR REPLACE FUNCTION agi_router.visit_cell(_cell integer, _expired integer) RETURNS integer
LANGUAGE sql AS $$
    SELECT 0
$$;
COMMENT ON FUNCTION agi_router.visit_cell IS 'Has events of a database behind this one be here, and so many bindings at most be marked there that the clock has ended; returns how many were';
REVOKE EXECUTE ON FUNCTION agi_router.visit_cell FROM PUBLIC;
