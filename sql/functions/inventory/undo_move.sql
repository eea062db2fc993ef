CREATE OR REPLACE FUNCTION agi_router.undo_move(_block bigint) RETURNS TABLE (undone boolean)
LANGUAGE sql AS $$
    SELECT NULL::boolean WHERE false
$$;
COMMENT ON FUNCTION agi_router.undo_move IS 'Leaves a block that is being moved where it was; false: too late, it has to go on; no row: it is not being moved';
REVOKE EXECUTE ON FUNCTION agi_router.undo_move FROM PUBLIC;
