CREATE OR REPLACE FUNCTION agi_router.forget_recycled(
    _block bigint, _tag_key integer, _seal_key integer, _binding_id bigint, _tags bigint[], _until timestamptz)
RETURNS TABLE (routes bigint)
-- As agi_router.end_recycled: no plan of when nothing was over yet.
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    _since timestamptz;
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    -- He is as old a party as in agi_router.end_recycled.
    WITH RECURSIVE carried (block, binding_id) AS (
        SELECT _block, _binding_id
         UNION
        SELECT a.block, a.binding_id
          FROM carried c
          JOIN agi_router.appeal_rebind a ON a.new_block = c.block AND a.new_binding_id = c.binding_id
    )
    SELECT min(r.begins_at)
      INTO _since
      FROM (SELECT n.begins_at, n.caller_tag
              FROM carried c
              JOIN agi_router.route n ON n.block = c.block AND n.binding_id = c.binding_id
             UNION ALL
            SELECT p.begins_at, p.caller_tag
              FROM carried c
              JOIN agi_router.past_route p ON p.block = c.block AND p.binding_id = c.binding_id) r
     WHERE r.caller_tag = ANY (_tags);
    IF _since IS NULL OR _since >= _until THEN
        RETURN QUERY SELECT 0::bigint;
        RETURN;
    END IF;
    UPDATE agi_router.binding b
       SET pair_tag = NULL
     WHERE b.block = _block AND b.id = _binding_id AND b.pair_tag IS NOT NULL;
    RETURN QUERY
    SELECT count(*)
      FROM (SELECT array_agg(r.block) AS block, array_agg(r.x_number) AS x_number,
                   array_agg(r.caller_tag) AS caller_tag, array_agg(r.binding_id) AS binding_id
              FROM agi_router.route r
             WHERE r.block = _block AND r.binding_id = _binding_id AND r.caller_tag = ANY (_tags)) o
     CROSS JOIN LATERAL agi_router.retire_routes(o.block, o.x_number, o.caller_tag, o.binding_id, NULL)
     WHERE o.block IS NOT NULL;
END
$$;
COMMENT ON FUNCTION agi_router.forget_recycled IS 'Forgets a party with these tags that came in before _until in a binding that is over: a call by it is one of a stranger, and its pair asks for no number. Returns how many routes were taken out of the way';
