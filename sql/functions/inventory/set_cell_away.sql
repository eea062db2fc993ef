CREATE OR REPLACE FUNCTION agi_router.set_cell_away(_name text, _away boolean) RETURNS TABLE (name text)
LANGUAGE sql AS $$
    -- All is in this database: without it nobody is answered.
    SELECT NULL::text WHERE false
$$;
COMMENT ON FUNCTION agi_router.set_cell_away IS 'Has lists and ends of orders go on without a cell, and no number be chosen there; or no longer. No row: there is no such cell that could be away';
REVOKE EXECUTE ON FUNCTION agi_router.set_cell_away FROM PUBLIC;
