CREATE OR REPLACE FUNCTION agi_router.end_recycled(
    _block bigint[], _binding_id bigint[], _version integer[], _tags text[], _unknown boolean[], _until timestamptz[],
    _tag_key integer, _seal_key integer)
RETURNS TABLE (block bigint, id bigint, tenant_id integer, outcome text, at timestamptz)
-- By indexes alone: a plan of when nothing was over yet would read all of past_route, which grows by each end.
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    _now      timestamptz;
    _held     bigint[];
    _tenants  integer[];
    _outcomes text[];
BEGIN
    PERFORM agi_router.assert_current_keys(_block[1], _tag_key, _seal_key);
    IF cardinality(_block) = 1 THEN
        PERFORM b.id FROM agi_router.binding b WHERE b.block = _block[1] AND b.id = _binding_id[1] FOR NO KEY UPDATE;
    END IF;
    -- Of several none is waited for: calls would wait for the others as long.
    _held := ARRAY(
        SELECT g.n
          FROM unnest(_block, _binding_id) WITH ORDINALITY g (block, id, n)
          JOIN agi_router.binding b ON b.block = g.block AND b.id = g.id
           FOR NO KEY UPDATE OF b SKIP LOCKED);
    -- It may have ended while whoever held it was waited for: the clock is read after that.
    _now := clock_timestamp();
    WITH RECURSIVE given AS (
        SELECT g.n, g.block, g.id, g.version, g.tags::bigint[] AS tags, g.unknown, g.until, b.tenant_id, b.party_group,
               b.begins_at, t.unknown_numbers,
               CASE WHEN b.id IS NULL THEN 'over'
                    WHEN g.n <> ALL (_held) THEN 'busy'
                    WHEN b.ended_at IS NOT NULL OR b.expires_at <= _now THEN 'over'
                    -- Its parties may be others by now.
                    WHEN b.version <> g.version THEN 'changed' END AS fault
          FROM unnest(_block, _binding_id, _version, _tags, _unknown, _until)
               WITH ORDINALITY g (block, id, version, tags, unknown, until, n)
          LEFT JOIN agi_router.binding b ON b.block = g.block AND b.id = g.id
          LEFT JOIN agi_router.tenant t ON t.id = b.tenant_id
    ), carried (n, tags, block, id) AS (
        SELECT g.n, g.tags, g.block, g.id FROM given g WHERE g.fault IS NULL
         UNION
        SELECT c.n, c.tags, a.block, a.binding_id
          FROM carried c
          JOIN agi_router.appeal_rebind a ON a.new_block = c.block AND a.new_binding_id = c.id
    ), came AS (
        -- Not since when the binding lives: a member or a party came in later. Whoever stayed when another was
        -- replaced has new rows, so his first one counts; and that of the binding from which he was carried over.
        SELECT p.n, min(p.begins_at) AS at
          FROM (SELECT c.n, r.begins_at
                  FROM carried c
                  JOIN agi_router.route r ON r.block = c.block AND r.binding_id = c.id
                 WHERE r.caller_tag = ANY (c.tags) OR (r.callee_tags[1] = ANY (c.tags) AND r.caller IS NOT NULL)
                 UNION ALL
                SELECT c.n, r.begins_at
                  FROM carried c
                  JOIN agi_router.past_route r ON r.block = c.block AND r.binding_id = c.id
                 WHERE r.caller_tag = ANY (c.tags) OR (r.callee_tags[1] = ANY (c.tags) AND r.caller IS NOT NULL)) p
         GROUP BY p.n
    ), judged AS (
        SELECT g.n, g.tenant_id,
               CASE WHEN g.fault IS NOT NULL THEN g.fault
                    -- Of a party group a member is not as young as a binding by it.
                    WHEN least(coalesce(p.at, g.begins_at), (
                             SELECT min(m.added_at)
                               FROM agi_router.party_group s
                               JOIN agi_router.group_member m ON m.group_id = s.id
                              WHERE s.tenant_id = g.tenant_id AND s.name = g.party_group
                                AND m.tag = ANY (g.tags))) >= g.until THEN 'began_later'
                    WHEN g.unknown AND g.unknown_numbers = 'ring' THEN 'rings'
                    WHEN g.unknown AND g.unknown_numbers = 'hold' THEN 'held'
                    ELSE 'ended' END AS outcome
          FROM given g
          LEFT JOIN came p ON p.n = g.n
    )
    SELECT array_agg(j.tenant_id ORDER BY j.n), array_agg(j.outcome ORDER BY j.n)
      INTO _tenants, _outcomes
      FROM judged j;
    IF 'held' = ANY (_outcomes) THEN
        INSERT INTO agi_router.binding_hold (block, binding_id, tag)
        SELECT g.block, g.id, (g.tags::bigint[])[1]
          FROM unnest(_block, _binding_id, _tags, _outcomes) g (block, id, tags, outcome)
         WHERE g.outcome = 'held'
            ON CONFLICT ON CONSTRAINT binding_hold_pkey DO NOTHING;
        -- Numbers that its calls have made lead to its parties, too.
        UPDATE agi_router.binding b
           SET state = 'held', version = b.version + 1
          FROM unnest(_block, _binding_id, _outcomes) g (block, id, outcome)
         WHERE g.outcome = 'held' AND b.block = g.block AND (b.id = g.id OR b.parent_id = g.id)
           AND b.ended_at IS NULL AND b.state = 'active';
    END IF;
    IF 'ended' = ANY (_outcomes) THEN
        -- Who has the number now is a stranger on it. First: what goes need not be told that the binding ends.
        PERFORM agi_router.retire_routes(o.block, o.x_number, o.caller_tag, o.binding_id, NULL, _now)
           FROM (SELECT array_agg(r.block) AS block, array_agg(r.x_number) AS x_number,
                        array_agg(r.caller_tag) AS caller_tag, array_agg(r.binding_id) AS binding_id
                   FROM unnest(_block, _binding_id, _tags, _outcomes) g (block, id, tags, outcome)
                   JOIN agi_router.route r ON r.block = g.block AND r.binding_id = g.id
                  WHERE g.outcome = 'ended' AND r.caller_tag = ANY (g.tags::bigint[])) o
          WHERE o.block IS NOT NULL;
        -- A new owner asks for no number of the old one: the pair is forgotten.
        UPDATE agi_router.binding b
           SET state = CASE WHEN g.unknown THEN 'recycle_unknown' ELSE 'party_recycled' END,
               ended_at = _now, version = b.version + 1, pair_tag = NULL
          FROM unnest(_block, _binding_id, _unknown, _outcomes) g (block, id, unknown, outcome)
         WHERE g.outcome = 'ended' AND b.block = g.block AND b.id = g.id;
    END IF;
    RETURN QUERY
    SELECT g.block, g.id, g.tenant_id, g.outcome, _now
      FROM unnest(_block, _binding_id, _tenants, _outcomes) g (block, id, tenant_id, outcome);
END
$$;
COMMENT ON FUNCTION agi_router.end_recycled IS 'Ends bindings, all in one transaction, a party of each of which has these tags (an array, as text) and, by a feed, a number with a new owner, or nobody knows; where that party came in before _until. Returns what became of each: ended, held, began_later, rings, over, changed; busy where somebody holds one of several';
