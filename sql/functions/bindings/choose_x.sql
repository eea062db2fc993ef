CREATE OR REPLACE FUNCTION agi_router.choose_x(
    _block bigint, _x_number bigint[], _tags bigint[], _number_quarantine interval, _party_quarantine interval,
    _few integer)
RETURNS TABLE (x_number bigint)
LANGUAGE sql STABLE AS $$
-- A subquery, not a join: a candidate that is not needed is not looked at.
    SELECT c.x_number
      FROM (SELECT n.x_number, n.place, t.now
              FROM (SELECT clock_timestamp() AS now OFFSET 0) t
             CROSS JOIN unnest(_x_number) WITH ORDINALITY n (x_number, place)
             WHERE (SELECT f.free
                      FROM agi_router.find_free_x(
                           _block, n.x_number, _tags, _number_quarantine, _party_quarantine, t.now, false) f)
             LIMIT _few) c
     ORDER BY (SELECT count(*) FROM agi_router.route o
                WHERE o.block = _block AND o.x_number = c.x_number AND o.ends_at > c.now), c.place
     LIMIT 1
$$;
COMMENT ON FUNCTION agi_router.choose_x IS 'Of candidate numbers of one block, one that does not rest, is not locked, and on which no caller with one of these tags is or was of late: of the first _few such the one with the fewest live routes';
