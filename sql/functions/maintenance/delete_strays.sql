CREATE OR REPLACE FUNCTION agi_router.delete_strays(_kind text, _day date, _limit integer) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Whoever asks: what is younger than six months has to be kept.
    _last CONSTANT date := least(_day, agi_router.last_free_day(now()));
    _ids  text[];
BEGIN
    IF _kind = 'event' THEN
        WITH gone AS (
            DELETE FROM agi_router.event_other
             WHERE ctid = ANY (ARRAY(SELECT e.ctid FROM agi_router.event_other e WHERE e.day <= _last LIMIT _limit))
            RETURNING id
        )
        SELECT array_agg(g.id::text ORDER BY g.id) INTO _ids FROM gone g;
    ELSIF _kind IN ('call', 'message') THEN
        EXECUTE format(
            'WITH stray AS ('
            '    DELETE FROM agi_router.%1$I'
            '     WHERE ctid = ANY (ARRAY(SELECT f.place FROM agi_router.find_held_rows($1, $3, false, $4) f))'
            '    RETURNING id'
            '), kept AS ('
            '    DELETE FROM agi_router.%2$I'
            '     WHERE ctid = ANY (ARRAY(SELECT f.place FROM agi_router.find_held_rows($2, $3, false, $4) f))'
            '    RETURNING id)'
            ' SELECT array_agg(g.id ORDER BY g.id) FROM (SELECT id FROM stray UNION ALL SELECT id FROM kept) g',
            _kind || '_other', 'kept_' || _kind)
          INTO _ids
         USING ('agi_router.' || _kind || '_other')::regclass, ('agi_router.kept_' || _kind)::regclass, _last, _limit;
    ELSE
        RAISE invalid_parameter_value USING MESSAGE = format('%s has no days', _kind);
    END IF;
    RETURN coalesce(_ids, '{}');
END
$$;
COMMENT ON FUNCTION agi_router.delete_strays IS 'Deletes calls, texts or events of days up to one, and more than six months ago, that lie in no table of their day, or were held and are so no more; their ids';
REVOKE EXECUTE ON FUNCTION agi_router.delete_strays FROM PUBLIC;
