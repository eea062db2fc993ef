CREATE OR REPLACE FUNCTION agi_router.discard_message(_block bigint, _id text, _reason text) RETURNS TABLE (state text)
LANGUAGE plpgsql AS $$
DECLARE
    _attempts integer;
BEGIN
    SELECT o.attempts
      INTO _attempts
      FROM agi_router.message_out o
     WHERE o.block = _block AND o.id = _id AND NOT o.in_hand
       FOR UPDATE;
    IF FOUND THEN
        RETURN QUERY SELECT f.state FROM agi_router.finish_message(_block, _id, _attempts, 'failed', _reason, NULL) f;
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.discard_message IS 'Ends a text that is owed and that nobody has in hand; no row where there is none';
