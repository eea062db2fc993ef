CREATE OR REPLACE FUNCTION agi_router.note_receipt(_link text, _remote_id text, _state text)
RETURNS TABLE (matched boolean)
LANGUAGE plpgsql AS $$
DECLARE
    noted agi_router.message_sent;
BEGIN
    INSERT INTO agi_router.message_sent AS s (link, remote_id, state, until)
    VALUES (_link, _remote_id, _state, statement_timestamp() + interval '7 days')
    ON CONFLICT (link, remote_id) DO UPDATE SET state = excluded.state
    RETURNING s.* INTO noted;
    IF noted.id IS NOT NULL THEN
        PERFORM agi_router.settle_message(noted.block, noted.id, noted.day);
    END IF;
    RETURN QUERY SELECT noted.id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION agi_router.note_receipt IS 'Notes what a receipt tells, and settles its text; whether the answer that its id stood in was noted before';
