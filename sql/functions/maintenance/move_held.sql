CREATE OR REPLACE FUNCTION agi_router.move_held(_kind text, _day date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    _rows bigint;
BEGIN
    IF _kind NOT IN ('call', 'message')
       OR NOT EXISTS (SELECT 1 FROM agi_router.hold h WHERE h.released_at IS NULL) THEN
        RETURN 0;
    END IF;
    -- Whoever asks: what is younger than six months stays where calls and texts are looked for.
    EXECUTE format('WITH held AS ('
                   '    DELETE FROM agi_router.%I'
                   '     WHERE ctid = ANY (ARRAY(SELECT h.place FROM agi_router.find_held_rows($1, $2, true, NULL) h))'
                   '    RETURNING *)'
                   ' INSERT INTO agi_router.%I SELECT * FROM held ON CONFLICT DO NOTHING',
                   _kind || '_other', 'kept_' || _kind)
      USING ('agi_router.' || _kind || '_other')::regclass, least(_day, agi_router.last_free_day(now()));
    GET DIAGNOSTICS _rows = ROW_COUNT;
    RETURN _rows;
END
$$;
COMMENT ON FUNCTION agi_router.move_held IS 'Moves what is held of calls or texts up to a day that lie in no table of their day to where it stays; how many rows';
REVOKE EXECUTE ON FUNCTION agi_router.move_held FROM PUBLIC;
