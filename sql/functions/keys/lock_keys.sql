CREATE OR REPLACE FUNCTION agi_router.lock_keys(_milliseconds integer)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', _milliseconds::text, true);
    LOCK TABLE agi_router.key IN EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION agi_router.lock_keys IS 'Waits until all who write are done, so long at most, and keeps others off until the transaction ends, which from then on waits no longer for any lock';
