CREATE OR REPLACE FUNCTION agi_router.seals_so_far() RETURNS bigint
LANGUAGE sql AS $$
    SELECT coalesce(pg_sequence_last_value('agi_router.seals'), 0)
$$;
COMMENT ON FUNCTION agi_router.seals_so_far IS 'How many values were sealed';
