CREATE OR REPLACE FUNCTION agi_router.find_cuts(_node text, _after text, _before text)
RETURNS TABLE (id text, block bigint, day date, locks jsonb)
LANGUAGE plpgsql STABLE AS $$
-- Whom a call was dialled by, and who has answered, is not on its record: persons are those of its binding, or anyone
-- where strangers may call, and Asterisk tells whether they are in the call.
DECLARE
    _now timestamptz := clock_timestamp();
BEGIN
    -- No call lasts longer than four hours.
    IF (SELECT true FROM agi_router.lock_mark m WHERE m.cut LIMIT 1) IS NULL
       AND (SELECT true FROM agi_router.consent c WHERE c.cut AND c.added_at > _now - interval '5 hours' LIMIT 1) IS NULL
    THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH marks AS MATERIALIZED (
        SELECT m.*, greatest(m.starts_at, l.set_at) AS began_at
          FROM agi_router.lock_mark m
          JOIN agi_router.lock l ON l.id = m.lock_id
         WHERE m.cut AND m.starts_at <= _now AND (m.ends_at IS NULL OR m.ends_at > _now)
    ), up AS MATERIALIZED (
        SELECT c.id, c.block, c.day, c.x_number, c.shown, c.tenant_id, c.binding_id, c.received_at
          FROM agi_router.call c
         WHERE c.state = 'reserved' AND c.binding_id IS NOT NULL
           AND c.id COLLATE "C" > _after AND c.id COLLATE "C" < _before
           AND coalesce(substring(c.id FROM '^(.*)-[0-9]+[.][0-9]+$'), '') = _node
    ), parties AS (
        SELECT u.id, p.tag
          FROM up u
          JOIN agi_router.route r ON r.block = u.block AND r.binding_id = u.binding_id
         CROSS JOIN unnest(ARRAY[r.caller_tag, r.last_tag] || r.callee_tags) p (tag)
         UNION
        SELECT u.id, p.tag
          FROM up u
          JOIN agi_router.past_route r ON r.block = u.block AND r.binding_id = u.binding_id
         CROSS JOIN unnest(ARRAY[r.caller_tag] || r.callee_tags) p (tag)
    )
    SELECT f.id, f.block, f.day, jsonb_agg(f.ground)
      FROM (
    SELECT u.id, u.block, u.day,
           jsonb_build_object(
               'id', m.lock_id, 'key', m.key, 'subject', m.subject, 'reason', m.reason,
               'tenant_id', m.tenant_id, 'sealed', encode(m.sealed, 'hex')) AS ground
      FROM up u
      JOIN agi_router.binding b ON b.block = u.block AND b.id = u.binding_id
      JOIN marks m
        ON (m.tenant_id IS NULL OR m.tenant_id = u.tenant_id)
       -- A call that came later was judged by it.
       AND m.began_at >= u.received_at - interval '1 minute'
       AND CASE m.subject
                WHEN 'number' THEN m.key IN (u.x_number, u.shown)
                WHEN 'block' THEN m.key = u.block
                WHEN 'tenant' THEN m.key = u.tenant_id
                ELSE b.mode IN ('ax', 'axe')
                     OR EXISTS (SELECT p.tag FROM parties p WHERE p.id = u.id AND p.tag = m.key) END
     UNION ALL
    -- The line was written in the transaction that has ended the binding.
    SELECT u.id, u.block, u.day,
           jsonb_build_object(
               'id', c.id, 'key', k.tag, 'subject', 'consent', 'person_id', k.person_id,
               'sealed', encode(k.sealed, 'hex'))
      FROM up u
      JOIN agi_router.binding b ON b.block = u.block AND b.id = u.binding_id AND b.state = 'consent_withdrawn'
      JOIN agi_router.consent c
        ON c.cut AND c.tenant_id = b.tenant_id AND (c.order_id IS NULL OR c.order_id = b.order_id)
       AND c.added_at > _now - interval '5 hours'
       AND c.added_at <= b.ended_at AND c.added_at > b.ended_at - interval '1 minute'
      JOIN agi_router.person_mark k ON k.person_id = c.person_id
     WHERE EXISTS (SELECT p.tag FROM parties p WHERE p.id = u.id AND p.tag = k.tag)) f
     GROUP BY f.id, f.block, f.day;
END
$$;
COMMENT ON FUNCTION agi_router.find_cuts IS 'Calls of one node that go on though a lock which cuts calls is in force: on their numbers, block or tenant, or on a person who may be in them; or though such a person has withdrawn its consent so. With the locks, see agi_router.describe_locks, and the lines of the ledger';
