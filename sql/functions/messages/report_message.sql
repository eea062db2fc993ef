CREATE OR REPLACE FUNCTION agi_router.report_message(
    _block bigint, _id text, _day date, _link text, _state text, _scope integer)
RETURNS TABLE (noted boolean)
LANGUAGE plpgsql AS $$
DECLARE
    _was text;
BEGIN
    SELECT m.state
      INTO _was
      FROM agi_router.message m
     WHERE m.block = _block AND m.id = _id AND m.day = _day AND m.link_in = _link
       AND agi_router.in_scope(m.tenant_id, _scope)
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF _was = 'sent' THEN
        PERFORM agi_router.end_sent_message(_block, _id, _day, _state);
    END IF;
    noted := _was IN ('sent', _state);
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION agi_router.report_message IS 'Gives a text that its carrier keeps its last state; false where it has another one, no row where it is none';
