CREATE OR REPLACE FUNCTION agi_router.gather_findings() RETURNS void
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
END
$$;
COMMENT ON FUNCTION agi_router.gather_findings IS 'Notes for which operators'' numbers the persons are or were bound whom the operator has locked for misuse; and which of these locks were lifted after the carrier was told';
