CREATE OR REPLACE FUNCTION agi_router.choose_x(
    _block bigint, _x_number bigint[], _tags bigint[], _number_quarantine interval, _party_quarantine interval,
    _few integer)
RETURNS TABLE (x_number bigint)
LANGUAGE sql STABLE AS $$
-- Subqueries, not joins: a candidate that is not needed is not looked at. OFFSET 0 keeps the time out of
-- the look by key: among many routes of a number, the caller's are few.
    SELECT c.x_number
      FROM (SELECT n.x_number, n.place, t.now
              FROM (SELECT clock_timestamp() AS now OFFSET 0) t
             CROSS JOIN unnest(_x_number) WITH ORDINALITY n (x_number, place)
             WHERE (SELECT true FROM agi_router.lock_mark m
                     WHERE m.key = n.x_number AND m.starts_at <= t.now
                       AND (m.ends_at IS NULL OR m.ends_at > t.now) LIMIT 1) IS NULL
               AND (SELECT true FROM agi_router.route r
                     WHERE r.block = _block AND r.x_number = n.x_number
                       AND r.ends_at > t.now - _number_quarantine AND r.ends_at <= t.now LIMIT 1) IS NULL
               AND (SELECT true FROM agi_router.past_route r
                     WHERE r.block = _block AND r.x_number = n.x_number
                       AND r.ends_at > t.now - _number_quarantine AND r.ends_at <= t.now LIMIT 1) IS NULL
               AND (SELECT true
                      FROM (SELECT r.ends_at FROM agi_router.route r
                             WHERE r.block = _block AND r.x_number = n.x_number
                               AND r.caller_tag = ANY (_tags) OFFSET 0) m
                     WHERE m.ends_at > t.now - _party_quarantine LIMIT 1) IS NULL
               AND (SELECT true
                      FROM (SELECT r.ends_at FROM agi_router.past_route r
                             WHERE r.block = _block AND r.x_number = n.x_number
                               AND r.caller_tag = ANY (_tags) OFFSET 0) m
                     WHERE m.ends_at > t.now - _party_quarantine LIMIT 1) IS NULL
             LIMIT _few) c
     ORDER BY (SELECT count(*) FROM agi_router.route o
                WHERE o.block = _block AND o.x_number = c.x_number AND o.ends_at > c.now), c.place
     LIMIT 1
$$;
COMMENT ON FUNCTION agi_router.choose_x IS 'Of candidate numbers of one block, one that does not rest, is not locked, and on which no caller with one of these tags is or was of late: of the first _few such the one with the fewest live routes';
