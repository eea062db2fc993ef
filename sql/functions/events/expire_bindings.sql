CREATE OR REPLACE FUNCTION agi_router.expire_bindings(_limit integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT agi_router.mark_expired(_limit) + agi_router.end_locks(_limit) + agi_router.lapse_appeals(_limit)
$$;
COMMENT ON FUNCTION agi_router.expire_bindings IS 'Marks bindings that the clock has ended, and locks, has appeals lapse, with the rights of the owner: whoever delivers events may do no more to them';
REVOKE EXECUTE ON FUNCTION agi_router.expire_bindings FROM PUBLIC;
