CREATE OR REPLACE FUNCTION agi_router.find_reservation(_block bigint, _call_id text, _day date, _tags bigint[])
RETURNS SETOF agi_router.facts
LANGUAGE sql STABLE AS $$
    SELECT true, c.received_at, true, true,
           true, false, b.id, b.tenant_id, b.mode, r.side, r.caller_tag,
           r.callee, r.last_callee, r.last_at, r.shown, least(h.ended_at, h.expires_at),
           b.state, b.direction, b.begins_at, b.expires_at, b.ended_at, b.max_calls,
           b.calls_used - 1, b.callback, b.callback_window,
           CASE r.side WHEN 'a' THEN b.display_b ELSE b.display_a END,
           b.ring_timeout, b.max_duration, b.language, b.prompts, true, NULL::integer, t.told_of_answers,
           t.has_check,
           CASE WHEN cardinality(r.callee_tags) > 1
                THEN agi_router.describe_locks(
                    r.callee_tags, _tags, r.callee_tags, b.tenant_id, c.received_at, ARRAY[]::bigint[]) END,
           CASE WHEN b.hours IS NOT NULL OR t.hours IS NOT NULL OR t.call_limits IS NOT NULL
                THEN agi_router.describe_limits(coalesce(b.hours, t.hours), t.time_zone, t.call_limits, c.received_at) END,
           NULL::boolean, t.notice, coalesce(c.record, false)
      FROM agi_router.call c
      JOIN agi_router.binding b ON b.block = c.block AND b.id = c.binding_id
      JOIN agi_router.route r
        ON r.block = b.block AND r.binding_id = b.id AND r.x_number = c.x_number
       AND r.caller_tag = ANY (_tags)
      JOIN agi_router.tenant t ON t.id = b.tenant_id
      LEFT JOIN agi_router.binding h ON h.block = r.block AND h.id = r.child_id
     WHERE c.block = _block AND c.id = _call_id AND c.day = _day AND c.state = 'reserved'
     ORDER BY array_position(_tags, r.caller_tag)
     LIMIT 1
$$;
COMMENT ON FUNCTION agi_router.find_reservation IS 'The stored decision of a call that was admitted before and is not over, as facts; no row once it is. _tags in order of preference';
