CREATE OR REPLACE FUNCTION agi_router.step_move(_block bigint, _to text)
RETURNS TABLE (
    step text, waits text, from_name text, to_name text, begun_at timestamptz, closed_at timestamptz, opened_at timestamptz,
    ended_at timestamptz, moved bigint, refused bigint)
LANGUAGE sql AS $$
    -- All is in this database: there is nowhere to go.
    SELECT 'refused'::text, CASE WHEN _to = 'one' THEN 'there' ELSE 'unknown' END, 'one'::text, NULL::text, NULL::timestamptz,
           NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, NULL::bigint, NULL::bigint
      FROM agi_router.block k
     WHERE k.block = _block
$$;
COMMENT ON FUNCTION agi_router.step_move IS 'Begins to move a block to another cell, or takes the next step; returns what is next, done behind the last, and what it waits for; no row where the block is not ours. refused: it cannot be moved; unknown: there is no such cell, there: it is there already, away: one of the two cells is away';
REVOKE EXECUTE ON FUNCTION agi_router.step_move FROM PUBLIC;
