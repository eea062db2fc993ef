CREATE OR REPLACE FUNCTION agi_router.find_cuts(_node text, _after text, _before text)
RETURNS TABLE (id text, block bigint, day date, locks jsonb)
LANGUAGE plpgsql STABLE AS $$
-- Whom a call was dialled by, and who has answered, is not on its record: persons are those of its binding, or anyone
-- where strangers may call, and Asterisk tells whether they are in the call.
DECLARE
    _now timestamptz := clock_timestamp();
BEGIN
    IF (SELECT true FROM agi_router.lock_mark m WHERE m.cut LIMIT 1) IS NULL THEN
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
    SELECT u.id, u.block, u.day,
           jsonb_agg(jsonb_build_object(
               'id', m.lock_id, 'key', m.key, 'subject', m.subject, 'reason', m.reason,
               'tenant_id', m.tenant_id, 'sealed', encode(m.sealed, 'hex')))
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
     GROUP BY u.id, u.block, u.day;
END
$$;
COMMENT ON FUNCTION agi_router.find_cuts IS 'Calls of one node that go on though a lock which cuts calls is in force: on their numbers, block or tenant, or on a person who may be in them; with the locks, see agi_router.describe_locks';
