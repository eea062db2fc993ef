CREATE OR REPLACE FUNCTION agi_router.forget_recycled(
    _block bigint, _tag_key integer, _seal_key integer, _binding_id bigint, _tags bigint[], _until timestamptz)
RETURNS TABLE (routes bigint)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    -- As an end of agi_router.end_recycled: what a crash takes is done again.
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE agi_router.binding b
       SET pair_tag = NULL
     WHERE b.block = _block AND b.id = _binding_id AND b.pair_tag IS NOT NULL
       AND (EXISTS (SELECT 1
                      FROM agi_router.route r
                     WHERE r.block = b.block AND r.binding_id = b.id AND r.caller_tag = ANY (_tags)
                       AND r.begins_at < _until)
            OR EXISTS (SELECT 1
                         FROM agi_router.past_route p
                        WHERE p.block = b.block AND p.binding_id = b.id AND p.caller_tag = ANY (_tags)
                          AND p.begins_at < _until));
    RETURN QUERY
    SELECT count(*)
      FROM (SELECT array_agg(r.block) AS block, array_agg(r.x_number) AS x_number,
                   array_agg(r.caller_tag) AS caller_tag, array_agg(r.binding_id) AS binding_id
              FROM agi_router.route r
             WHERE r.block = _block AND r.binding_id = _binding_id AND r.caller_tag = ANY (_tags)
               AND r.begins_at < _until) o
     CROSS JOIN LATERAL agi_router.retire_routes(o.block, o.x_number, o.caller_tag, o.binding_id, NULL)
     WHERE o.block IS NOT NULL;
END
$$;
COMMENT ON FUNCTION agi_router.forget_recycled IS 'Forgets a party with these tags that came in before _until in a binding that is over: a call by it is one of a stranger, and its pair asks for no number. Returns how many routes were taken out of the way';
