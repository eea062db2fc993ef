CREATE OR REPLACE FUNCTION agi_router.note_sent_parts(
    _block bigint, _id text, _link text, _parts integer[], _remote_ids text[], _total integer,
    _status integer)
RETURNS TABLE (state text)
LANGUAGE plpgsql AS $$
DECLARE
    owed  agi_router.message_out;
    taken bigint;
    early boolean := false;
    _told boolean;
BEGIN
    SELECT * INTO owed FROM agi_router.message_out o WHERE o.block = _block AND o.id = _id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- A receipt may have come before.
    FOR _place IN 1 .. cardinality(_parts) LOOP
        INSERT INTO agi_router.message_sent AS s (link, remote_id, block, id, day, part, total, until)
        VALUES (_link, _remote_ids[_place], _block, _id, owed.day, _parts[_place], _total,
                owed.expires_at + interval '1 hour')
        ON CONFLICT (link, remote_id) DO UPDATE
           SET block = excluded.block, id = excluded.id, day = excluded.day, part = excluded.part,
               total = excluded.total, until = excluded.until,
               -- That of a text of long ago, whose id came again, says nothing of this one.
               state = CASE WHEN s.id IS NULL THEN s.state END
        RETURNING s.state IS NOT NULL INTO _told;
        early := early OR _told;
    END LOOP;
    taken := cardinality(_parts);
    IF taken < _total THEN
        -- An earlier try has brought the others, whose receipts may be there.
        SELECT true, count(DISTINCT s.part)
          INTO early, taken
          FROM agi_router.message_sent s
         WHERE s.block = _block AND s.id = _id;
    END IF;
    IF taken < _total THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT f.state FROM agi_router.finish_message(_block, _id, owed.attempts, 'sent', NULL, _status) f;
    IF early THEN
        PERFORM agi_router.settle_message(_block, _id, owed.day);
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.note_sent_parts IS 'Notes which short messages of a text a message centre has taken, whose ids are sorted; ends it as sent, and returns a row, once it has all';
