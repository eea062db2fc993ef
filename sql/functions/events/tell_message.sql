CREATE OR REPLACE FUNCTION agi_router.tell_message(_block bigint, _id text, _day date, _tenant integer, _type text)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    said agi_router.message;
    told agi_router.binding;
BEGIN
    -- Most tenants want no such events.
    PERFORM 1 FROM agi_router.tenant t WHERE t.id = _tenant AND _type = ANY (t.told);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO said FROM agi_router.message m WHERE m.block = _block AND m.id = _id AND m.day = _day;
    -- As it stands once the binding is held.
    UPDATE agi_router.binding b
       SET sequence = b.sequence + 1
      FROM agi_router.tenant t
     WHERE b.block = _block AND b.id = said.binding_id AND t.id = b.tenant_id AND _type = ANY (t.told)
    RETURNING b.* INTO told;
    IF FOUND THEN
        PERFORM agi_router.tell(
            _block, told.id, told.tenant_id, _type, told.sequence,
            jsonb_build_object(
                'message_id', said.id, 'x_number', said.x_number::text, 'shown', said.shown::text,
                'sender_side', said.side, 'state', said.state, 'reason', said.reason, 'status', said.status,
                'attempts', said.attempts, 'maybe_twice', said.maybe_twice, 'octets', said.octets, 'parts', said.parts,
                'received_at', said.received_at, 'done_at', said.done_at,
                'mode', told.mode, 'pool', told.pool, 'order_id', told.order_id, 'out_id', told.out_id, 'user_data', told.user_data,
                'max_messages', told.max_messages, 'messages_used', told.messages_used));
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.tell_message IS 'Writes an event of a text as it stands, if its tenant is told of such; never what it says';
