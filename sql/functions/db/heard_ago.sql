CREATE OR REPLACE FUNCTION agi_router.heard_ago() RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT NULL::double precision
$$;
COMMENT ON FUNCTION agi_router.heard_ago IS 'In a cell: how many seconds ago the global database has said what has come to this one last; NULL where there is none';
