CREATE OR REPLACE FUNCTION agi_router.hold_moves() RETURNS void
LANGUAGE sql AS $$
    -- All is in this database, and stays there.
$$;
COMMENT ON FUNCTION agi_router.hold_moves IS 'For those who list, and then change what they found: fails while rows of a block are on their way to another cell, and in no list; else none goes until the transaction ends';
