CREATE OR REPLACE FUNCTION agi_router.close_appeals(_lock_ids bigint[], _actor text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _closed bigint[];
BEGIN
    WITH closed AS (
        UPDATE agi_router.appeal a
           SET state = 'lifted', state_at = statement_timestamp(), deadline_at = NULL, decided_by = _actor
         WHERE a.lock_id = ANY (_lock_ids) AND a.state IN ('filed', 'evidence_complete', 'in_review')
        RETURNING a.id
    )
    SELECT array_agg(c.id ORDER BY c.id) INTO _closed FROM closed c;
    PERFORM agi_router.tell_appeal(c, 'appeal.closed') FROM unnest(_closed) c;
    PERFORM agi_router.record_by_itself('appeal close', 'appeal', _closed, 'its lock is over');
END
$$;
COMMENT ON FUNCTION agi_router.close_appeals IS 'Closes open appeals against locks that are over as lifted. _actor: who has lifted them; null: nobody, they have ended';
