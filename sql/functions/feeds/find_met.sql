CREATE OR REPLACE FUNCTION agi_router.find_met(_tags bigint[]) RETURNS TABLE (n bigint)
LANGUAGE sql STABLE AS $$
      WITH told AS (SELECT t.tag, t.n FROM unnest(_tags) WITH ORDINALITY t (tag, n))
    SELECT t.n FROM told t JOIN agi_router.route r ON r.caller_tag = t.tag
     UNION
    SELECT t.n FROM told t JOIN agi_router.route r ON r.callee_tags[1] = t.tag AND r.caller IS NOT NULL
     UNION
    -- Each by the index: a join reads all that is over, and all pairs.
    SELECT t.n
      FROM told t
     WHERE (SELECT true
              FROM agi_router.past_route p
              JOIN agi_router.binding b ON b.block = p.block AND b.id = p.binding_id
             WHERE p.caller_tag = t.tag AND b.pair_tag IS NOT NULL LIMIT 1)
     UNION
    SELECT t.n
      FROM agi_router.binding b
      JOIN agi_router.route r ON r.block = b.block AND r.binding_id = b.id
      JOIN told t ON t.tag = r.last_tag
     WHERE b.ended_at IS NULL AND b.open_number IS NOT NULL
     UNION
    SELECT t.n FROM told t JOIN agi_router.message_out o ON o.stranger_tag = t.tag
$$;
COMMENT ON FUNCTION agi_router.find_met IS 'Of these tags, the places of those by which a binding or a text may be found';
