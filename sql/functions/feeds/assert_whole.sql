CREATE OR REPLACE FUNCTION agi_router.assert_whole() RETURNS void
LANGUAGE sql AS $$
    -- All is in this database.
$$;
COMMENT ON FUNCTION agi_router.assert_whole IS 'For those who do something to all that is bound, and note that it is done: fails where a cell is away, of which nothing is in any list';
