CREATE OR REPLACE FUNCTION agi_router.run_behind(_name text, _given text[])
RETURNS void
LANGUAGE sql AS $$
    -- All is in this database.
$$;
COMMENT ON FUNCTION agi_router.run_behind IS 'Runs a function in all cells as part of this transaction; nowhere where all is in this database';
