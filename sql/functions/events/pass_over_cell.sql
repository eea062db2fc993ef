CREATE OR REPLACE FUNCTION agi_router.pass_over_cell(_cell integer) RETURNS void
LANGUAGE sql AS $$
    SELECT
$$;
COMMENT ON FUNCTION agi_router.pass_over_cell IS 'Has nobody ask a database behind this one for a minute that did not answer';
REVOKE EXECUTE ON FUNCTION agi_router.pass_over_cell FROM PUBLIC;
