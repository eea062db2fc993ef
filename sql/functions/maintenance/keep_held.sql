CREATE OR REPLACE FUNCTION agi_router.keep_held(_kind text, _day date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    _own  CONSTANT regclass := coalesce(
        to_regclass(format('agi_router.%I', _kind || to_char(_day, '_over_YYYYMMDD'))),
        to_regclass(format('agi_router.%I', _kind || to_char(_day, '_YYYYMMDD'))));
    _rows bigint;
BEGIN
    -- Events tell what other rows are there for, and no trace needs them.
    IF _kind NOT IN ('call', 'message') OR _own IS NULL
       OR NOT EXISTS (SELECT 1 FROM agi_router.hold h WHERE h.released_at IS NULL) THEN
        RETURN 0;
    END IF;
    EXECUTE format('INSERT INTO agi_router.%I'
                   ' SELECT r.*'
                   '   FROM agi_router.find_held_rows($1, $2, true, NULL) h'
                   '   JOIN %s r ON r.ctid = h.place'
                   '     ON CONFLICT DO NOTHING', 'kept_' || _kind, _own)
      USING _own, _day;
    GET DIAGNOSTICS _rows = ROW_COUNT;
    RETURN _rows;
END
$$;
COMMENT ON FUNCTION agi_router.keep_held IS 'Copies what is held of a day of calls or texts to where it stays; how many rows are new there';
REVOKE EXECUTE ON FUNCTION agi_router.keep_held FROM PUBLIC;
