CREATE OR REPLACE FUNCTION agi_router.unfounded_findings(_least integer) RETURNS SETOF bigint
LANGUAGE sql STABLE AS $$
    SELECT f.id
      FROM agi_router.finding f
      JOIN agi_router.complaint_caller c ON c.complaint_id = f.complaint_id
     WHERE f.status = 'misuse'
       AND (SELECT count(*)
              FROM agi_router.founded_complaints() n
             WHERE n.person_id = c.person_id AND n.operator = f.operator) < _least
       -- That complaints are deleted by their age takes nothing back.
       AND EXISTS (SELECT 1
                     FROM agi_router.complaint_caller o
                     JOIN agi_router.complaint m ON m.id = o.complaint_id
                    WHERE o.person_id = c.person_id AND m.x_number / 100000000000 % 10 = f.operator
                      AND (m.dismissed_at > f.found_at
                           OR EXISTS (SELECT 1
                                        FROM agi_router.new_owner w
                                       WHERE w.person_id = o.person_id AND w.since > m.at)))
$$;
COMMENT ON FUNCTION agi_router.unfounded_findings IS 'Findings by complaints that no more hold, as some were dismissed since or the number has a new owner, so that fewer than _least are left';
