CREATE OR REPLACE FUNCTION agi_router.lift_locks(_ids bigint[], _lifted_by text, _note text)
RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
DECLARE
    _lifted bigint[];
BEGIN
    WITH lifted AS (
        UPDATE agi_router.lock
           SET over_at = statement_timestamp(), lifted_by = _lifted_by, lift_note = _note
         WHERE id = ANY (_ids) AND over_at IS NULL AND (ends_at IS NULL OR ends_at > statement_timestamp())
        RETURNING id
    )
    SELECT array_agg(l.id ORDER BY l.id) INTO _lifted FROM lifted l;
    PERFORM agi_router.tell_lock(l, 'lock.lifted') FROM unnest(_lifted) l;
    PERFORM agi_router.close_appeals(_lifted, _lifted_by);
    DELETE FROM agi_router.lock_mark WHERE lock_id = ANY (_lifted);
    RETURN QUERY SELECT l FROM unnest(_lifted) l;
END
$$;
COMMENT ON FUNCTION agi_router.lift_locks IS 'Lifts those of these locks that are not over, and returns them';
