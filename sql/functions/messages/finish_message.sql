CREATE OR REPLACE FUNCTION agi_router.finish_message(
    _block bigint, _id text, _attempts integer, _state text, _reason text, _status integer)
RETURNS TABLE (state text)
LANGUAGE plpgsql AS $$
DECLARE
    owed    agi_router.message_out;
    _tenant integer;
BEGIN
    -- Of two who have it in hand, one whose time was over and another one, the later alone ends it as not
    -- sent: the earlier may not know. That it was sent is true whoever says it.
    DELETE FROM agi_router.message_out o
     WHERE o.block = _block AND o.id = _id AND (o.attempts = _attempts OR _state = 'sent')
    RETURNING * INTO owed;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE agi_router.message m
       SET state = _state, reason = _reason, status = _status, attempts = owed.attempts,
           maybe_twice = owed.maybe_twice, done_at = statement_timestamp()
     WHERE m.block = _block AND m.id = _id AND m.day = owed.day
    RETURNING m.tenant_id INTO _tenant;
    IF _state <> 'sent' THEN
        -- Within bounds: a count that somebody has altered must not keep a text from its end.
        UPDATE agi_router.binding b
           SET messages_used = greatest(0, b.messages_used - 1)
         WHERE b.block = _block AND b.id = owed.binding_id;
    END IF;
    PERFORM agi_router.tell_message(
        _block, _id, owed.day, _tenant, CASE WHEN _state = 'sent' THEN 'message.sent' ELSE 'message.failed' END);
    state := _state;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION agi_router.finish_message IS 'Ends a text, deletes what it said, and gives its use back unless it was sent; no row where somebody else has it in hand or has ended it';
