CREATE OR REPLACE FUNCTION agi_router.end_recycled(
    _block bigint, _tag_key integer, _seal_key integer, _binding_id bigint, _version integer, _tags bigint[],
    _unknown boolean, _until timestamptz, _run_id bigint, _line bigint)
RETURNS TABLE (outcome text)
-- A plan of when nothing was over yet would read all of past_route, which grows by each end.
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    _now     timestamptz;
    _done    text;
    _since   timestamptz;
    found_at record;
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    -- No end is waited for until it is on disk: where a crash takes it, it takes all that was written after it, too, so
    -- that the step of the file is not noted, and is done again.
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT b.tenant_id, b.party_group, b.version, b.begins_at, b.expires_at, b.ended_at, t.unknown_numbers
      INTO found_at
      FROM agi_router.binding b
      JOIN agi_router.tenant t ON t.id = b.tenant_id
     WHERE b.block = _block AND b.id = _binding_id
       FOR NO KEY UPDATE OF b;
    -- It may end while whoever holds it is waited for: the clock is read after that.
    _now := clock_timestamp();
    IF found_at.tenant_id IS NULL OR found_at.ended_at IS NOT NULL OR found_at.expires_at <= _now THEN
        RETURN QUERY SELECT 'over';
        RETURN;
    END IF;
    IF found_at.version <> _version THEN
        -- Its parties may be others by now.
        RETURN QUERY SELECT 'changed';
        RETURN;
    END IF;
    -- Not since when the binding lives: a member or a party came in later. Whoever stayed when another was
    -- replaced has new rows, so his first one counts; and that of the binding from which he was carried over.
    WITH RECURSIVE carried (block, binding_id) AS (
        SELECT _block, _binding_id
         UNION
        SELECT a.block, a.binding_id
          FROM carried c
          JOIN agi_router.appeal_rebind a ON a.new_block = c.block AND a.new_binding_id = c.binding_id
    )
    SELECT coalesce(min(r.begins_at), found_at.begins_at)
      INTO _since
      FROM (SELECT n.begins_at, n.caller_tag, n.callee_tags, n.caller
              FROM carried c
              JOIN agi_router.route n ON n.block = c.block AND n.binding_id = c.binding_id
             UNION ALL
            SELECT p.begins_at, p.caller_tag, p.callee_tags, p.caller
              FROM carried c
              JOIN agi_router.past_route p ON p.block = c.block AND p.binding_id = c.binding_id) r
     WHERE r.caller_tag = ANY (_tags) OR (r.callee_tags[1] = ANY (_tags) AND r.caller IS NOT NULL);
    -- Of a party group a member is not as young as a binding by it.
    _since := least(_since, (
        SELECT min(m.added_at)
          FROM agi_router.party_group g
          JOIN agi_router.group_member m ON m.group_id = g.id
         WHERE g.tenant_id = found_at.tenant_id AND g.name = found_at.party_group AND m.tag = ANY (_tags)));
    _done := CASE WHEN _since >= _until THEN 'began_later'
                  WHEN _unknown AND found_at.unknown_numbers = 'ring' THEN 'rings'
                  WHEN _unknown AND found_at.unknown_numbers = 'hold' THEN 'held'
                  ELSE 'ended' END;
    INSERT INTO agi_router.feed_match (run_id, block, binding_id, line, tenant_id, outcome, at)
    VALUES (_run_id, _block, _binding_id, _line, found_at.tenant_id, _done, _now)
        ON CONFLICT ON CONSTRAINT feed_match_pkey DO UPDATE
       SET line = excluded.line, outcome = excluded.outcome, at = excluded.at
     WHERE excluded.outcome IN ('ended', 'held');
    IF _done = 'held' THEN
        INSERT INTO agi_router.binding_hold (block, binding_id, tag)
        VALUES (_block, _binding_id, _tags[1])
            ON CONFLICT ON CONSTRAINT binding_hold_pkey DO NOTHING;
        -- Numbers that its calls have made lead to its parties, too.
        UPDATE agi_router.binding b
           SET state = 'held', version = b.version + 1
         WHERE b.block = _block AND (b.id = _binding_id OR b.parent_id = _binding_id)
           AND b.ended_at IS NULL AND b.state = 'active';
    END IF;
    IF _done = 'ended' THEN
        -- A new owner asks for no number of the old one: the pair is forgotten.
        UPDATE agi_router.binding b
           SET state = CASE WHEN _unknown THEN 'recycle_unknown' ELSE 'party_recycled' END,
               ended_at = _now, version = b.version + 1, pair_tag = NULL
         WHERE b.block = _block AND b.id = _binding_id;
        -- Who has the number now is a stranger on it.
        PERFORM agi_router.retire_routes(o.block, o.x_number, o.caller_tag, o.binding_id, NULL)
           FROM (SELECT array_agg(r.block) AS block, array_agg(r.x_number) AS x_number,
                        array_agg(r.caller_tag) AS caller_tag, array_agg(r.binding_id) AS binding_id
                   FROM agi_router.route r
                  WHERE r.block = _block AND r.binding_id = _binding_id AND r.caller_tag = ANY (_tags)) o
          WHERE o.block IS NOT NULL;
    END IF;
    RETURN QUERY SELECT _done;
END
$$;
COMMENT ON FUNCTION agi_router.end_recycled IS 'Ends a binding a party of which has these tags and, by a feed, a number with a new owner, or nobody knows; where that party came in before _until. Returns what became of it: ended, held, began_later, rings, over, changed';
