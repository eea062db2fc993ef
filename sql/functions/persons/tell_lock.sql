CREATE OR REPLACE FUNCTION agi_router.tell_lock(_lock_id bigint, _type text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.tell(
                NULL, NULL, w.told_id, _type, NULL,
                jsonb_build_object(
                    'lock_id', l.id::text, 'subject', l.subject,
                    'x_number', CASE l.subject WHEN 'number' THEN l.key::text END,
                    'block', CASE l.subject WHEN 'block' THEN l.key::text END,
                    'reason', l.reason, 'note', l.note, 'starts_at', l.starts_at,
                    'ends_at', l.ends_at, 'over_at', l.over_at, 'cut', l.cut,
                    'bindings', w.bindings))
       FROM agi_router.told_of_lock(_lock_id, _type) w
       JOIN agi_router.lock l ON l.id = _lock_id;
END
$$;
COMMENT ON FUNCTION agi_router.tell_lock IS 'Tells of a lock those whom it concerns, see agi_router.told_of_lock';
