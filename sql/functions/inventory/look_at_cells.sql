CREATE OR REPLACE FUNCTION agi_router.look_at_cells(_beat boolean)
RETURNS TABLE (name text, away boolean, follows boolean, unsent bigint, behind double precision)
LANGUAGE sql STABLE AS $$
    SELECT NULL::text, false, false, 0::bigint, 0::double precision WHERE false
$$;
COMMENT ON FUNCTION agi_router.look_at_cells IS 'Which of the databases behind this one take what is changed here, and for how many seconds each has not; none where all is in this database. _beat: say to them that this one is there';
REVOKE EXECUTE ON FUNCTION agi_router.look_at_cells FROM PUBLIC;
