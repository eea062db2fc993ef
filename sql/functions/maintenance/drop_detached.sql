CREATE OR REPLACE FUNCTION agi_router.drop_detached(_deletion bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    _kind text;
    _day  date;
BEGIN
    -- Who sets a hold now waits, and finds the day gone. Who has set one before is heeded, whenever that was written:
    -- it may have been committed after the day was looked through.
    LOCK TABLE agi_router.hold IN SHARE MODE;
    SELECT d.kind, d.day
      INTO STRICT _kind, _day
      FROM agi_router.deletion d
     WHERE d.id = _deletion AND d.whole AND d.ended_at IS NULL
       FOR UPDATE;
    IF agi_router.keep_held(_kind, _day) > 0 THEN
        UPDATE agi_router.deletion d
           SET begun_at = statement_timestamp(), deleted = 0, digest = DEFAULT, reached_block = 0, reached_id = NULL
         WHERE d.id = _deletion;
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE agi_router.%I', _kind || to_char(_day, '_over_YYYYMMDD'));
    RETURN true;
END
$$;
COMMENT ON FUNCTION agi_router.drop_detached IS 'Drops the table of a deletion under way whose rows were all looked at; false: more of them are held by now, which were copied; the others are looked at again';
REVOKE EXECUTE ON FUNCTION agi_router.drop_detached FROM PUBLIC;
