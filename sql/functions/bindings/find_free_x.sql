CREATE OR REPLACE FUNCTION agi_router.find_free_x(
    _block bigint, _x_number bigint, _tags bigint[], _number_quarantine interval, _party_quarantine interval,
    _now timestamptz, _empty boolean)
RETURNS TABLE (free boolean)
LANGUAGE sql STABLE AS $$
-- Each look is a subquery of its own, which the one before may make needless: as parts of one union they take a third
-- more to begin with. OFFSET 0 keeps the time out of the look by key: among many routes of a number, the caller's are few.
    SELECT true
     WHERE (SELECT true
              FROM (SELECT r.ends_at FROM agi_router.route r
                     WHERE r.block = _block AND r.x_number = _x_number AND r.caller_tag = ANY (_tags) OFFSET 0) m
             WHERE _empty OR m.ends_at > _now - _party_quarantine
             LIMIT 1) IS NULL
       AND (SELECT true
              FROM agi_router.route r
             WHERE r.block = _block AND r.x_number = _x_number
               AND r.ends_at > _now - _number_quarantine AND r.ends_at <= _now
             LIMIT 1) IS NULL
       AND (SELECT true
              FROM (SELECT r.ends_at FROM agi_router.past_route r
                     WHERE r.block = _block AND r.x_number = _x_number AND r.caller_tag = ANY (_tags) OFFSET 0) m
             WHERE m.ends_at > _now - _party_quarantine
             LIMIT 1) IS NULL
       AND (SELECT true
              FROM agi_router.past_route r
             WHERE r.block = _block AND r.x_number = _x_number
               AND r.ends_at > _now - _number_quarantine AND r.ends_at <= _now
             LIMIT 1) IS NULL
       AND (SELECT true
              FROM agi_router.lock_mark m
             WHERE m.key = _x_number AND m.starts_at <= _now AND (m.ends_at IS NULL OR m.ends_at > _now)
             LIMIT 1) IS NULL
$$;
COMMENT ON FUNCTION agi_router.find_free_x IS 'Whether a number can be had by callers with these tags: one row where it is not locked, does not rest, and none of them is or was of late on it. _empty: nor has any route of theirs to be moved out of the way, however old';
