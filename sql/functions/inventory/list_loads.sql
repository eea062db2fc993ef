CREATE OR REPLACE FUNCTION agi_router.list_loads()
RETURNS TABLE (
    cell integer, name text, away boolean, answers boolean, bindings bigint, calls_up bigint, calls_lately bigint,
    size bigint, followed boolean, behind bigint, moving bigint[])
LANGUAGE sql STABLE AS $$
    SELECT 0, 'one'::text, false, true, l.bindings, l.calls_up, l.calls_lately, l.size, NULL::boolean, NULL::bigint,
           ARRAY[]::bigint[]
      FROM agi_router.describe_load() l
$$;
COMMENT ON FUNCTION agi_router.list_loads IS 'Each database behind this one: whether it answers, what it has to do, whether and by how many bytes it is behind this one, and which blocks are being moved; one alone where all is in this database';
