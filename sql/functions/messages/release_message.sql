CREATE OR REPLACE FUNCTION agi_router.release_message(_block bigint, _id text)
RETURNS TABLE (day date)
LANGUAGE plpgsql AS $$
DECLARE
    _tenant integer;
BEGIN
    UPDATE agi_router.message_out o
       SET held = false, next_at = statement_timestamp()
     WHERE o.block = _block AND o.id = _id AND o.held AND NOT o.in_hand AND o.next_at > statement_timestamp()
    RETURNING o.day INTO day;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE agi_router.message m
       SET state = 'queued'
     WHERE m.block = _block AND m.id = _id AND m.day = release_message.day
    RETURNING m.tenant_id INTO _tenant;
    PERFORM agi_router.tell_message(_block, _id, day, _tenant, 'message.accepted');
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION agi_router.release_message IS 'Lets a text go that is held; no row where it is not, or where the time for it is over';
