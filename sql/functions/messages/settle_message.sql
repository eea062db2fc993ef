CREATE OR REPLACE FUNCTION agi_router.settle_message(_block bigint, _id text, _day date)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    said  agi_router.message;
    ended text;
BEGIN
    -- Of two receipts at once the later one sees the other.
    SELECT * INTO said FROM agi_router.message m WHERE m.block = _block AND m.id = _id AND m.day = _day FOR UPDATE;
    IF said.state IS DISTINCT FROM 'sent' THEN
        RETURN;
    END IF;
    SELECT CASE WHEN bool_or(s.state = 'undelivered') THEN 'undelivered'
                WHEN bool_or(s.state = 'unknown') THEN 'unknown'
                ELSE 'delivered' END
      INTO ended
      FROM agi_router.message_sent s
     WHERE s.block = _block AND s.id = _id
    HAVING count(DISTINCT s.part) FILTER (WHERE s.state IS NOT NULL) = max(s.total);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM agi_router.end_sent_message(_block, _id, _day, ended);
END
$$;
COMMENT ON FUNCTION agi_router.settle_message IS 'Gives a text that was sent the state that its receipts tell, once there is one of each of its short messages: the worst of them';
