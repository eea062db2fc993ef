CREATE OR REPLACE FUNCTION agi_router.lock_imports()
RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(7002026)
$$;
COMMENT ON FUNCTION agi_router.lock_imports IS 'Keeps imports off until the transaction ends; waits for the one that is running';
