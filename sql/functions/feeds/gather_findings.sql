CREATE OR REPLACE FUNCTION agi_router.gather_findings(_least integer, _within interval) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
BEGIN
    -- What was lifted before anybody was told of it is told to nobody.
    DELETE FROM agi_router.finding f
     USING agi_router.lock l
     WHERE l.id = f.lock_id AND f.status = 'misuse' AND f.taken_at IS NULL AND l.lifted_by IS NOT NULL;
    INSERT INTO agi_router.finding (operator, lock_id, status)
    SELECT DISTINCT r.block / 10000000 % 10, l.id, 'misuse'
      FROM agi_router.lock l
      JOIN agi_router.lock_mark m ON m.lock_id = l.id
     CROSS JOIN LATERAL (
           SELECT n.block FROM agi_router.route n WHERE n.caller_tag = m.key
            UNION ALL
           SELECT n.block FROM agi_router.route n WHERE n.callee_tags[1] = m.key AND n.caller IS NOT NULL
            UNION ALL
           SELECT p.block FROM agi_router.past_route p WHERE p.caller_tag = m.key
            UNION ALL
           SELECT p.block FROM agi_router.past_route p WHERE p.callee_tags[1] = m.key AND p.caller IS NOT NULL) r
     -- What a tenant says of a person is no finding of ours.
     WHERE l.subject = 'person' AND l.reason = 'misuse' AND l.setter_id IS NULL AND l.over_at IS NULL
       AND l.starts_at <= _now AND (l.ends_at IS NULL OR l.ends_at > _now)
        ON CONFLICT ON CONSTRAINT finding_key DO NOTHING;
    INSERT INTO agi_router.finding (operator, lock_id, status)
    SELECT f.operator, f.lock_id, 'withdrawn'
      FROM agi_router.finding f
      JOIN agi_router.lock l ON l.id = f.lock_id
     WHERE f.status = 'misuse' AND f.taken_at IS NOT NULL AND l.lifted_by IS NOT NULL
        ON CONFLICT ON CONSTRAINT finding_key DO NOTHING;
    -- The same of those whose calls were complained of too often, and whose complaints were dismissed since.
    DELETE FROM agi_router.finding f
     WHERE f.taken_at IS NULL AND f.id IN (SELECT u.id FROM agi_router.unfounded_findings(_least) u (id));
    INSERT INTO agi_router.finding (operator, source, complaint_id, status)
    SELECT n.operator, 'complaint', max(n.id), 'misuse'
      FROM agi_router.founded_complaints() n
     WHERE NOT EXISTS (
               SELECT 1
                 FROM agi_router.finding f
                 JOIN agi_router.complaint_caller c ON c.complaint_id = f.complaint_id
                WHERE c.person_id = n.person_id AND f.operator = n.operator AND f.status = 'misuse'
                  AND NOT EXISTS (SELECT 1
                                    FROM agi_router.finding w
                                   WHERE w.complaint_id = f.complaint_id AND w.operator = f.operator
                                     AND w.status = 'withdrawn'))
     GROUP BY n.person_id, n.operator
    HAVING count(*) FILTER (WHERE n.added_at > _now - _within) >= _least
        ON CONFLICT ON CONSTRAINT finding_complaint_key DO NOTHING;
    INSERT INTO agi_router.finding (operator, source, complaint_id, status)
    SELECT f.operator, 'complaint', f.complaint_id, 'withdrawn'
      FROM agi_router.finding f
     WHERE f.taken_at IS NOT NULL AND f.id IN (SELECT u.id FROM agi_router.unfounded_findings(_least) u (id))
        ON CONFLICT ON CONSTRAINT finding_complaint_key DO NOTHING;
END
$$;
COMMENT ON FUNCTION agi_router.gather_findings IS 'Notes for which operators'' numbers the persons are or were bound whom the operator has locked for misuse, and on whose numbers so many have called as were complained of; and which of these were lifted, or dismissed, after the carrier was told. _least: so many complaints of one person within _within';
