CREATE OR REPLACE FUNCTION agi_router.seals_so_far() RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM agi_router.seals
$$;
COMMENT ON FUNCTION agi_router.seals_so_far IS 'How many values were sealed';
