CREATE OR REPLACE FUNCTION agi_router.file_appeal(
    _lock_id bigint, _tenant_id integer, _state text, _filed_by text, _note text, _span interval)
RETURNS TABLE (outcome text, appeal_id bigint)
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz;
    _id  bigint;
BEGIN
    PERFORM l.id FROM agi_router.lock l WHERE l.id = _lock_id FOR NO KEY UPDATE;
    _now := clock_timestamp();
    IF NOT EXISTS (SELECT l.id
                     FROM agi_router.lock l
                    WHERE l.id = _lock_id AND l.over_at IS NULL AND (l.ends_at IS NULL OR l.ends_at > _now)) THEN
        RETURN QUERY SELECT 'over', NULL::bigint;
        RETURN;
    END IF;
    IF EXISTS (SELECT a.id
                 FROM agi_router.appeal a
                WHERE a.lock_id = _lock_id AND a.state IN ('filed', 'evidence_complete', 'in_review')) THEN
        RETURN QUERY SELECT 'open', NULL::bigint;
        RETURN;
    END IF;
    _id := nextval('agi_router.appeal_id');
    INSERT INTO agi_router.appeal (id, lock_id, tenant_id, state, note, filed_by, filed_at, state_at, deadline_at)
    VALUES (_id, _lock_id, _tenant_id, _state, _note, _filed_by, _now, _now, _now + _span);
    UPDATE agi_router.lock_mark m SET appeal = _state WHERE m.lock_id = _lock_id;
    PERFORM agi_router.tell_appeal(_id, 'appeal.filed');
    RETURN QUERY SELECT 'filed', _id;
END
$$;
COMMENT ON FUNCTION agi_router.file_appeal IS 'Files an appeal against a lock that is not over, unless one is open; says which it was. _span: for how long it may stay in its first state';
