CREATE OR REPLACE FUNCTION agi_router.note_sent_parts(
    _block bigint, _id text, _link text, _parts integer[], _remote_ids text[], _total integer,
    _status integer)
RETURNS TABLE (state text)
LANGUAGE plpgsql AS $$
DECLARE
    owed  agi_router.message_out;
    taken bigint;
    early boolean;
BEGIN
    SELECT * INTO owed FROM agi_router.message_out o WHERE o.block = _block AND o.id = _id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- A receipt may have come before.
    WITH noted AS (
        INSERT INTO agi_router.message_sent AS s (link, remote_id, block, id, day, part, total, until)
        SELECT _link, n.remote_id, _block, _id, owed.day, n.part, _total, owed.expires_at + interval '1 hour'
          FROM unnest(_parts, _remote_ids) n (part, remote_id)
         ORDER BY n.remote_id
        ON CONFLICT (link, remote_id) DO UPDATE
           SET block = excluded.block, id = excluded.id, day = excluded.day, part = excluded.part,
               total = excluded.total, until = excluded.until,
               -- That of a text of long ago, whose id came again, says nothing of this one.
               state = CASE WHEN s.id IS NULL THEN s.state END
        RETURNING s.state
    )
    SELECT bool_or(n.state IS NOT NULL), count(*) INTO early, taken FROM noted n;
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
COMMENT ON FUNCTION agi_router.note_sent_parts IS 'Notes which short messages of a text a message centre has taken; ends it as sent, and returns a row, once it has all';
