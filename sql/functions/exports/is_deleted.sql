CREATE OR REPLACE FUNCTION agi_router.is_deleted(_since date) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1
                     FROM agi_router.deletion d
                    WHERE d.kind IN ('binding', 'call', 'message') AND d.day >= _since)
$$;
COMMENT ON FUNCTION agi_router.is_deleted IS 'Whether bindings, calls or texts of a day (UTC), or of a later one, were deleted';
