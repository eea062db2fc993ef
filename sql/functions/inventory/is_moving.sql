CREATE OR REPLACE FUNCTION agi_router.is_moving(_block bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT false
$$;
COMMENT ON FUNCTION agi_router.is_moving IS 'Whether a block is on its way to another cell, and gets the state that it had at the end of that; never where all is in this database';
