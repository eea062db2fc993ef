CREATE OR REPLACE FUNCTION agi_router.remove_from_blocklist(_ids bigint[], _removed_by text)
RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
DECLARE
    _removed bigint[];
BEGIN
    WITH removed AS (
        UPDATE agi_router.blocklist
           SET over_at = statement_timestamp(), removed_by = _removed_by
         WHERE id = ANY (_ids) AND over_at IS NULL AND (ends_at IS NULL OR ends_at > statement_timestamp())
        RETURNING id
    )
    SELECT array_agg(r.id ORDER BY r.id) INTO _removed FROM removed r;
    DELETE FROM agi_router.lock_mark WHERE lock_id = ANY (_removed);
    PERFORM agi_router.tell_blocklist(r, 'blocklist.removed') FROM unnest(_removed) r;
    RETURN QUERY SELECT r FROM unnest(_removed) r;
END
$$;
COMMENT ON FUNCTION agi_router.remove_from_blocklist IS 'Removes those of these entries of block lists that are not over, and returns them';
