CREATE OR REPLACE FUNCTION agi_router.find_message_facts(
    _block bigint, _x_number bigint, _tags bigint[], _now timestamptz, _strangers bigint[],
    _scope integer)
RETURNS agi_router.facts
LANGUAGE plpgsql STABLE AS $$
DECLARE
    facts agi_router.facts := agi_router.find_facts_within(
        _block, _x_number, _tags, _now, _tags, _strangers, _scope);
BEGIN
    SELECT b.messages, b.max_messages, b.messages_used
      INTO facts.direction, facts.max_calls, facts.calls_used
      FROM agi_router.binding b
     WHERE b.block = _block AND b.id = facts.binding_id;
    RETURN facts;
END
$$;
COMMENT ON FUNCTION agi_router.find_message_facts IS 'The facts as they stand for a text, so far as they lie within a scope, nothing taken: direction, max_calls and calls_used are those of texts. _strangers: see agi_router.admit';
