CREATE OR REPLACE FUNCTION agi_router.list_cells() RETURNS TABLE (cell integer, name text, away boolean, blocks bigint[])
LANGUAGE sql STABLE AS $$
    SELECT 0, 'one'::text, false, ARRAY(SELECT k.block FROM agi_router.block k ORDER BY k.block)
$$;
COMMENT ON FUNCTION agi_router.list_cells IS 'The databases behind this one, each with its blocks; one alone where all is in this database';
