CREATE OR REPLACE FUNCTION agi_router.find_held_rows(_rows regclass, _until date, _held boolean, _limit integer)
RETURNS TABLE (place tid)
LANGUAGE plpgsql STABLE AS $$
-- By one join, however many there are: what holds keep is read once, and not for each row.
DECLARE
    _numbers CONSTANT bigint[] := ARRAY(SELECT h.x_number FROM agi_router.hold h
                                         WHERE h.released_at IS NULL AND h.x_number IS NOT NULL);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT r.ctid'
        '  FROM %s r'
        '  LEFT JOIN agi_router.list_held() h ON h.block = r.block AND h.binding_id = r.binding_id'
        ' WHERE r.day <= $1'
        '   AND (h.block IS NOT NULL OR r.x_number = ANY ($2) OR r.shown = ANY ($2)) IS %s'
        ' LIMIT $3', _rows, CASE WHEN _held THEN 'TRUE' ELSE 'NOT TRUE' END)
      USING _until, _numbers, _limit;
END
$$;
COMMENT ON FUNCTION agi_router.find_held_rows IS 'Where the rows stand, of a table of calls or texts and up to a day, that legal holds keep from being deleted; or those that none keeps. _limit: at most so many, null for all';
