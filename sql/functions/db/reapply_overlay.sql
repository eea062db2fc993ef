CREATE OR REPLACE FUNCTION agi_router.reapply_overlay() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regnamespace('agi_cells') IS NOT NULL THEN
        EXECUTE 'SELECT agi_cells.reapply()';
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.reapply_overlay IS 'Has what makes this database one of several (sql/cells) be in the place of the program''s functions again, behind a change of these';
