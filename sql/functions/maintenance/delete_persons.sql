CREATE OR REPLACE FUNCTION agi_router.delete_persons(_after bigint, _limit integer)
RETURNS TABLE (ids text[], until bigint)
-- Whoever asserts the keys waits behind us: a bind waits no longer than this, and once in a walk.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10ms' AS $$
DECLARE
    _until bigint;
    _left  bigint[];
    _gone  text[] := '{}';
BEGIN
    -- Of most something is kept, so that a step looks at many.
    SELECT max(w.person_id), (array_agg(DISTINCT w.person_id) FILTER (WHERE w.bare))[:_limit]
      INTO _until, _left
      FROM (SELECT m.person_id, agi_router.is_unmentioned(m.person_id) AS bare
              FROM agi_router.person_mark m
             WHERE m.person_id > _after
             ORDER BY m.person_id
             LIMIT 20 * _limit) w;
    IF _left IS NOT NULL THEN
        IF cardinality(_left) = _limit THEN
            -- There may be more: the next step goes on behind the last of these.
            _until := _left[_limit];
        END IF;
        BEGIN
            -- Whoever adds a line has asserted the keys before it looks for the person: nobody is about to.
            LOCK TABLE agi_router.key IN EXCLUSIVE MODE;
            WITH gone AS (
                DELETE FROM agi_router.person_mark m
                 WHERE m.person_id = ANY (_left) AND agi_router.is_unmentioned(m.person_id)
                RETURNING m.person_id
            ), owners AS (
                DELETE FROM agi_router.new_owner n WHERE n.person_id IN (SELECT g.person_id FROM gone g)
            )
            SELECT coalesce(array_agg(DISTINCT g.person_id::text), '{}') INTO _gone FROM gone g;
        EXCEPTION WHEN lock_not_available THEN
            -- Somebody writes for longer, an import perhaps. They go with another walk: each try would hold up binds.
            _until := NULL;
        END;
    END IF;
    RETURN QUERY SELECT _gone, _until;
END
$$;
COMMENT ON FUNCTION agi_router.delete_persons IS 'Walks along the register of persons, behind one of them, and deletes those of whom nothing is kept; their ids, and where the walk stands, null: at its end, or somebody holds the keys';
REVOKE EXECUTE ON FUNCTION agi_router.delete_persons FROM PUBLIC;
