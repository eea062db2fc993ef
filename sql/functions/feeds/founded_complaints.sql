CREATE OR REPLACE FUNCTION agi_router.founded_complaints()
RETURNS TABLE (id bigint, person_id bigint, operator integer, added_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT m.id, c.person_id, (m.x_number / 100000000000 % 10)::integer, m.added_at
      FROM agi_router.complaint_caller c
      JOIN agi_router.complaint m ON m.id = c.complaint_id
     WHERE c.person_id IS NOT NULL AND m.dismissed_at IS NULL
       -- What the old owner of a number has done is nothing to the new one.
       AND NOT EXISTS (SELECT 1 FROM agi_router.new_owner o WHERE o.person_id = c.person_id AND o.since > m.at)
$$;
COMMENT ON FUNCTION agi_router.founded_complaints IS 'Complaints that count, by who has called and the operator digit of the number that was shown';
