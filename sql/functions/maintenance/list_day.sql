CREATE OR REPLACE FUNCTION agi_router.list_day(
    _kind text, _day date, _after_block bigint, _after_id text, _limit integer
) RETURNS TABLE (block bigint, id text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_sort = off AS $$
-- By its key, however little is known of the table: to sort a day for each step takes all cores.
DECLARE
    _over CONSTANT text := _kind || to_char(_day, '_over_YYYYMMDD');
BEGIN
    IF _kind = 'event' THEN
        RETURN QUERY EXECUTE format(
            'SELECT 0::bigint, r.id::text FROM agi_router.%I r WHERE r.id > $1 ORDER BY r.id LIMIT $2', _over)
          USING coalesce(_after_id, '0')::bigint, _limit;
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT r.block, r.id'
        '  FROM agi_router.%I r'
        ' WHERE (r.block, r.id) > ($1, $2)'
        -- The place is said of both, so that neither is read from its begin each time.
        '   AND NOT EXISTS (SELECT 1'
        '                     FROM agi_router.%I k'
        '                    WHERE (k.block, k.id) > ($1, $2) AND k.block = r.block AND k.id = r.id AND k.day = r.day)'
        ' ORDER BY r.block, r.id'
        ' LIMIT $3', _over, 'kept_' || _kind)
      USING _after_block, coalesce(_after_id, ''), _limit;
END
$$;
COMMENT ON FUNCTION agi_router.list_day IS 'The names of rows of a day that was taken out of its table, in order, behind one of them, without those that are kept';
REVOKE EXECUTE ON FUNCTION agi_router.list_day FROM PUBLIC;
