CREATE OR REPLACE FUNCTION agi_router.list_overlay_faults() RETURNS SETOF text
LANGUAGE plpgsql STABLE AS $$
-- Where all is in one database there is no such schema.
BEGIN
    IF to_regnamespace('agi_cells') IS NULL THEN
        RETURN;
    ELSIF to_regprocedure('agi_cells.faults()') IS NULL OR to_regprocedure('agi_cells.reapply()') IS NULL THEN
        RETURN NEXT 'reapply';
    ELSE
        RETURN QUERY EXECUTE 'SELECT f FROM agi_cells.faults() f';
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.list_overlay_faults IS 'What is not in force of what makes this database one of several (sql/cells): names of triggers and functions';
