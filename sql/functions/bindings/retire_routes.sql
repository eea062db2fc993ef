CREATE OR REPLACE FUNCTION agi_router.retire_routes(
    _block bigint[], _x_number bigint[], _caller_tag bigint[], _binding_id bigint[], _left_at timestamptz,
    _ended_at timestamptz DEFAULT NULL)
RETURNS TABLE (block bigint, x_number bigint, caller_tag bigint, binding_id bigint, removed_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH gone AS (
        DELETE FROM agi_router.route r
         USING unnest(_block, _x_number, _caller_tag, _binding_id) n (block, x_number, caller_tag, binding_id)
         WHERE r.block = n.block AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag
           AND r.binding_id = n.binding_id
        RETURNING r.*)
    INSERT INTO agi_router.past_route AS p (block, x_number, caller_tag, binding_id, shown, side, callee,
                                            callee_tags, caller, left_group, begins_at, ends_at)
    SELECT g.block, g.x_number, g.caller_tag, g.binding_id, g.shown, g.side, g.callee, g.callee_tags, g.caller,
           _left_at IS NOT NULL, g.begins_at, coalesce(_left_at, least(g.ends_at, _ended_at))
      FROM gone g
    RETURNING p.block, p.x_number, p.caller_tag, p.binding_id, p.removed_at;
END
$$;
COMMENT ON FUNCTION agi_router.retire_routes IS 'Takes these routes out of the way of calls and new bindings, and keeps them in past_route; _left_at: when their parties left a binding that lives on, and so their end; null: the binding is over, or will be when the transaction is; _ended_at: since when, where its routes do not say so yet';
