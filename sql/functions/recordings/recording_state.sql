CREATE OR REPLACE FUNCTION agi_router.recording_state(
    _id text, _day date, _in_block bigint, _call_state text, _talk_ms integer)
RETURNS text
LANGUAGE sql STABLE AS $$
    -- Whoever did not talk said nothing that could be recorded.
    SELECT coalesce(
           (SELECT r.state FROM agi_router.recording r WHERE r.block = _in_block AND r.call_id = _id AND r.day = _day),
           CASE WHEN _call_state = 'reserved' OR _talk_ms > 0 THEN 'awaited' END)
$$;
COMMENT ON FUNCTION agi_router.recording_state IS 'What there is of the recording of a call that was to be recorded: the state of its row; awaited before there is one; null: nobody talked';
