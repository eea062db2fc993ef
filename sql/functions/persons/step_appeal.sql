CREATE OR REPLACE FUNCTION agi_router.step_appeal(
    _id bigint, _from text[], _to text, _actor text, _note text, _span interval, _scope integer)
RETURNS boolean
LANGUAGE plpgsql AS $$
-- Rows are locked in one order: the lock, its appeal, its marks.
DECLARE
    _now     timestamptz;
    _lock_id bigint;
    _set_by  text;
BEGIN
    SELECT l.id, l.set_by
      INTO _lock_id, _set_by
      FROM agi_router.lock l
     WHERE l.id = (SELECT a.lock_id FROM agi_router.appeal a WHERE a.id = _id)
       FOR NO KEY UPDATE;
    -- Two actors, whoever asks.
    IF _to IN ('in_review', 'lifted', 'upheld') AND _set_by = _actor THEN
        RETURN false;
    END IF;
    -- Who has filed withdraws, and nobody else ends it so.
    IF _to = 'withdrawn' AND NOT EXISTS (SELECT a.id
                                           FROM agi_router.appeal a
                                          WHERE a.id = _id AND a.tenant_id IS NOT DISTINCT FROM _scope) THEN
        RETURN false;
    END IF;
    _now := clock_timestamp();
    UPDATE agi_router.appeal a
       SET state = _to, state_at = _now, deadline_at = _now + _span, overdue = false,
           reviewer = CASE _to WHEN 'in_review' THEN _actor ELSE a.reviewer END,
           decided_by = CASE WHEN _to IN ('lifted', 'upheld', 'withdrawn') THEN _actor END,
           decision_note = _note
     WHERE a.id = _id AND a.state = ANY (_from);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE agi_router.lock_mark m SET appeal = _to WHERE m.lock_id = _lock_id;
    PERFORM agi_router.tell_appeal(
        _id, CASE WHEN _to IN ('evidence_complete', 'in_review') THEN 'appeal.changed' ELSE 'appeal.closed' END);
    IF _to = 'lifted' THEN
        PERFORM agi_router.lift_locks(ARRAY[_lock_id], _actor, _note);
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION agi_router.step_appeal IS 'Brings an appeal that is in one of _from to _to, and lifts its lock where that is so; whoever has set the lock neither reviews nor decides, and only who has filed withdraws. Returns whether it was done';
