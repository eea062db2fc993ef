CREATE OR REPLACE FUNCTION agi_router.tell_appeal(_id bigint, _type text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.tell(
                NULL, NULL, w.told_id, _type, NULL,
                jsonb_build_object(
                    'appeal_id', a.id::text, 'lock_id', l.id::text, 'subject', l.subject,
                    'x_number', CASE l.subject WHEN 'number' THEN l.key::text END,
                    'block', CASE l.subject WHEN 'block' THEN l.key::text END,
                    -- Of this tenant alone: what two tenants are told has nothing in common.
                    'person_tag', CASE l.subject WHEN 'person'
                                  THEN left(encode(sha256(convert_to(w.told_id || ':' || l.key, 'UTF8')), 'hex'), 16) END,
                    'reason', l.reason, 'state', a.state, 'deadline_at', a.deadline_at, 'overdue', a.overdue,
                    -- What is said beside a decision is for whoever has filed.
                    'decision_note', CASE WHEN a.state IN ('lifted', 'upheld') OR a.tenant_id = w.told_id
                                          THEN a.decision_note END,
                    'bindings', w.bindings))
       FROM agi_router.appeal a
       JOIN agi_router.lock l ON l.id = a.lock_id
      CROSS JOIN LATERAL (
            SELECT t.told_id, t.bindings FROM agi_router.told_of_lock(l.id, _type) t
             UNION ALL
            -- Whoever has filed hears of it, though none of its bindings lives any more.
            SELECT f.id, '[]'
              FROM agi_router.tenant f
             WHERE f.id = a.tenant_id AND _type = ANY (f.told)
               AND NOT EXISTS (SELECT t.told_id
                                 FROM agi_router.told_of_lock(l.id, _type) t
                                WHERE t.told_id = f.id)) w
      WHERE a.id = _id;
END
$$;
COMMENT ON FUNCTION agi_router.tell_appeal IS 'Tells of an appeal those whom its lock concerns, see agi_router.told_of_lock, and the tenant that has filed it';
