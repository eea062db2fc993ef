CREATE OR REPLACE FUNCTION agi_router.tell_calls(
    _block bigint[], _day date, _id text[], _answered text[], _binding_id bigint[], _sequence integer[])
RETURNS void
LANGUAGE plpgsql AS $$
-- No function in SQL here: PostgreSQL plans what is in one at each call, and days of calls are many.
DECLARE
    _now timestamptz := clock_timestamp();
BEGIN
    WITH told AS (
        -- Of calls of one binding the last has the sequence that its row has now; a call is answered before it ends.
        SELECT c.*, b.mode, b.pool, b.extension, b.order_id, b.out_id, b.user_data, b.max_calls, b.calls_used, p.answer,
               coalesce(c.answered_at, CASE WHEN c.outcome = 'answered' THEN c.ended_at - coalesce(c.talk_ms, 0) * interval '1 ms' END) AS talked_from,
               n.sequence + 1 - row_number() OVER (PARTITION BY c.block, c.binding_id ORDER BY c.id DESC, p.answer) AS place
          FROM (SELECT block, id, false AS answer FROM unnest(_block, _id) w (block, id)
                UNION ALL
                SELECT block, id, true FROM unnest(_block, _answered) w (block, id)) p
          JOIN agi_router.call c ON c.block = p.block AND c.id = p.id AND c.day = _day
          LEFT JOIN agi_router.binding b ON b.block = c.block AND b.id = c.binding_id
          LEFT JOIN unnest(_binding_id, _sequence) n (id, sequence) ON n.id = c.binding_id
    ), written AS (
        INSERT INTO agi_router.event (day, block, binding_id, tenant_id, sequence, at, type, data)
        SELECT (_now AT TIME ZONE 'UTC')::date, c.block, c.binding_id, c.tenant_id, c.place, _now,
               CASE WHEN c.answer THEN 'call.answered'
                    WHEN c.state = 'reserved' THEN 'call.admitted'
                    WHEN c.reason IS NULL THEN 'call.ended'
                    ELSE 'call.refused' END,
               jsonb_build_object(
                   'call_id', c.id, 'x_number', c.x_number::text, 'shown', c.shown::text, 'caller_side', c.side, 'reason', c.reason,
                   'outcome', c.outcome, 'received_at', c.received_at, 'answered_at', c.talked_from, 'ended_at', c.ended_at,
                   'ring_ms', c.ring_ms, 'talk_ms', c.talk_ms, 'q850', c.cause, 'sip_status', c.sip_status,
                   'released_by', c.released_by, 'clock', c.clock, 'cut', c.cut,
                   'mode', c.mode, 'pool', c.pool, 'extension', c.extension, 'order_id', c.order_id, 'out_id', c.out_id, 'user_data', c.user_data,
                   'max_calls', c.max_calls, 'calls_used', c.calls_used)
               -- What is not known as a call is answered stays so where that is told only as it ends.
               || CASE WHEN c.answer
                       THEN '{"outcome": null, "ended_at": null, "ring_ms": null, "talk_ms": null, "q850": null,
                              "sip_status": null, "released_by": null, "clock": null, "cut": null}'::jsonb
                       ELSE '{}' END
          FROM told c
         WHERE c.place IS NOT NULL
            OR c.binding_id IS NULL
               AND EXISTS (SELECT 1 FROM agi_router.tenant t WHERE t.id = c.tenant_id AND t.told_of_ends)
         ORDER BY c.block, c.binding_id, c.place
        RETURNING id, day, block, binding_id, tenant_id, sequence, type
    )
    INSERT INTO agi_router.delivery (webhook_id, event_id, day, block, binding_id, sequence)
    SELECT w.id, e.id, e.day, e.block, e.binding_id, e.sequence
      FROM written e
      JOIN agi_router.webhook w ON w.tenant_id = e.tenant_id
     WHERE e.type = ANY (w.types) AND w.state <> 'removed';
END
$$;
COMMENT ON FUNCTION agi_router.tell_calls IS 'Writes that calls were admitted or have ended, as their rows say, and that the callees of _answered have answered; null: not of this one. _binding_id: the bindings whose tenants are told, with the sequences that they have after it; a call without a binding is told to the tenant of its row';
