CREATE OR REPLACE FUNCTION agi_router.end_sent_message(_block bigint, _id text, _day date, _state text)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    said agi_router.message;
BEGIN
    UPDATE agi_router.message m
       SET state = _state, done_at = statement_timestamp()
     WHERE m.block = _block AND m.id = _id AND m.day = _day AND m.state = 'sent'
    RETURNING m.* INTO said;
    DELETE FROM agi_router.message_sent s WHERE s.block = _block AND s.id = _id;
    IF said.id IS NULL THEN
        RETURN;
    END IF;
    IF _state = 'undelivered' THEN
        UPDATE agi_router.binding b
           SET messages_used = greatest(0, b.messages_used - 1)
         WHERE b.block = _block AND b.id = said.binding_id;
    END IF;
    PERFORM agi_router.tell_message(
        _block, _id, _day, said.tenant_id,
        CASE WHEN _state = 'delivered' THEN 'message.delivered' ELSE 'message.undelivered' END);
END
$$;
COMMENT ON FUNCTION agi_router.end_sent_message IS 'Gives a text that was sent its last state; the use comes back where it is undelivered';
