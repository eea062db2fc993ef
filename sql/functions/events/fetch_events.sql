CREATE OR REPLACE FUNCTION agi_router.fetch_events() RETURNS void
LANGUAGE sql AS $$
    SELECT
$$;
COMMENT ON FUNCTION agi_router.fetch_events IS 'Has events of cells be in this database; where all is in this one there is nothing to do';
