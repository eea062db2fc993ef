CREATE OR REPLACE FUNCTION agi_router.find_facts(
    _block bigint, _x_number bigint, _tags bigint[], _now timestamptz, _person bigint[], _strangers bigint[])
RETURNS agi_router.facts
LANGUAGE sql STABLE AS $$
    SELECT false,
           _now,
           k.block IS NOT NULL,
           coalesce(k.state <> 'returned' AND k.valid_from <= _now AND k.valid_until > _now, false),
           EXISTS (SELECT 1
                     FROM agi_router.route o
                     JOIN agi_router.binding p ON p.block = o.block AND p.id = o.binding_id
                    WHERE o.block = _block AND o.x_number = _x_number
                      AND p.ended_at IS NULL AND p.expires_at > _now),
           r.binding_id IS NULL
           AND EXISTS (SELECT 1
                         FROM agi_router.binding p
                        WHERE p.block = _block AND p.open_number = _x_number AND p.mode = 'axe'
                          AND p.ended_at IS NULL AND p.expires_at > _now),
           b.id, b.tenant_id, b.mode, r.side, r.caller_tag, r.callee, r.last_callee, r.last_at, r.shown,
           least(c.ended_at, c.expires_at),
           b.state, b.direction, b.begins_at, b.expires_at, b.ended_at, b.max_calls, b.calls_used,
           b.callback, b.callback_window, CASE r.side WHEN 'a' THEN b.display_b ELSE b.display_a END,
           b.ring_timeout, b.max_duration, b.language, b.prompts, t.active, NULL::integer,
           t.told_of_answers, t.has_check,
           agi_router.describe_locks(
               r.callee_tags || _person || ARRAY[_x_number, r.shown, _block, b.tenant_id, r.last_tag],
               _person, r.callee_tags || r.last_tag, b.tenant_id, _now, _strangers),
           CASE WHEN b.hours IS NOT NULL OR t.hours IS NOT NULL OR t.call_limits IS NOT NULL
                THEN agi_router.describe_limits(coalesce(b.hours, t.hours), t.time_zone, t.call_limits, _now) END,
           t.qualified_from <= _now AND t.qualified_until > _now, t.notice,
           CASE WHEN b.record IS NOT NULL THEN b.record = 'on' ELSE t.record END
      FROM (SELECT 1) one
      LEFT JOIN agi_router.block k ON k.block = _block
      LEFT JOIN LATERAL (
           SELECT o.*
             FROM agi_router.route o
            WHERE o.block = _block AND o.x_number = _x_number AND o.caller_tag = ANY (_tags)
            ORDER BY array_position(_tags, o.caller_tag)
            LIMIT 1) r ON true
      LEFT JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
      LEFT JOIN agi_router.binding c ON c.block = r.block AND c.id = r.child_id
      LEFT JOIN agi_router.tenant t ON t.id = b.tenant_id
$$;
COMMENT ON FUNCTION agi_router.find_facts IS 'The facts as they stand, nothing taken. _tags in order of preference; _person and _strangers: see agi_router.admit';
