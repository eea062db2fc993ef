CREATE OR REPLACE FUNCTION agi_router.list_missing() RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT NULL::text WHERE false
$$;
COMMENT ON FUNCTION agi_router.list_missing IS 'The cells that are away, so that nothing of theirs is in any list; none where all is in this database';
