CREATE OR REPLACE FUNCTION agi_router.list_writers(_block bigint) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT NULL::text WHERE false
$$;
COMMENT ON FUNCTION agi_router.list_writers IS 'Transactions in the cell of a block that keep it from hearing of the state of one; none where all is in this database';
REVOKE EXECUTE ON FUNCTION agi_router.list_writers FROM PUBLIC;
