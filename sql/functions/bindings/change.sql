CREATE OR REPLACE FUNCTION agi_router.change(
    _block bigint, _tag_key integer, _seal_key integer, _binding_id bigint, _changes jsonb, _version integer,
    _longest interval, _scope integer)
RETURNS TABLE (outcome text)
LANGUAGE plpgsql AS $$
DECLARE
    was   agi_router.binding;
    made  agi_router.binding;
    _now  timestamptz;
    names text[];
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    SELECT *
      INTO was
      FROM agi_router.binding b
     WHERE b.block = _block AND b.id = _binding_id AND agi_router.in_scope(b.tenant_id, _scope)
       FOR NO KEY UPDATE;
    -- It may expire while whoever holds it is waited for: the clock is read after that.
    _now := clock_timestamp();
    made := jsonb_populate_record(was, _changes);
    outcome := CASE WHEN was.id IS NULL THEN 'missing'
                    WHEN was.ended_at IS NOT NULL OR was.expires_at <= _now THEN 'over'
                    WHEN was.version <> _version THEN 'stale'
                    WHEN was.parent_id IS NOT NULL THEN 'child'
                    WHEN _changes ? 'expires_at'
                         AND (made.expires_at <= _now OR made.expires_at > _now + _longest) THEN 'expiry'
                    WHEN made.max_calls < was.calls_used OR made.max_messages < was.messages_used THEN 'used'
                    WHEN made IS NOT DISTINCT FROM was THEN 'same' ELSE 'changed' END;
    IF outcome <> 'changed' THEN
        RETURN NEXT;
        RETURN;
    END IF;
    names := ARRAY(SELECT jsonb_object_keys(_changes)) || ARRAY['version'];
    made.version := was.version + 1;
    IF made.max_calls IS NOT NULL AND was.max_calls IS NULL THEN
        -- Without a limit nobody has counted what will not come back: all uses but those of open calls.
        made.calls_settled := greatest(0, was.calls_used - (
            SELECT count(*)
              FROM agi_router.call c
             WHERE c.state = 'reserved' AND c.block = _block AND c.binding_id = _binding_id));
        names := names || ARRAY['calls_settled'];
    END IF;
    IF made.max_calls <= made.calls_settled THEN
        made.state := 'used_up';
        made.ended_at := _now;
        names := names || ARRAY['state', 'ended_at'];
    END IF;
    -- Only what changes is set: so the triggers of other columns do not run.
    EXECUTE format('UPDATE agi_router.binding b SET %s WHERE b.block = ($1).block AND b.id = ($1).id',
                   (SELECT string_agg(format('%1$I = ($1).%1$I', n), ', ') FROM unnest(names) n))
      USING made;
    IF made.expires_at < was.expires_at THEN
        UPDATE agi_router.binding c
           SET expires_at = made.expires_at
         WHERE c.block = _block AND c.parent_id = _binding_id AND c.ended_at IS NULL
           AND c.expires_at > made.expires_at;
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION agi_router.change IS 'Changes columns of a binding that is alive: _changes holds their new values by name. One word tells what came of it: changed or same; missing (also outside the scope); over; stale, where it has another version than the one given; child, whose parent is to be changed; expiry, where it would end in the past or live longer than _longest; used, where more uses are taken than the new limit';
