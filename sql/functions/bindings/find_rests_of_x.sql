CREATE OR REPLACE FUNCTION agi_router.find_rests_of_x(
    _block bigint, _x_number bigint, _tags bigint[], _number_quarantine interval, _party_quarantine interval,
    _now timestamptz)
RETURNS TABLE (until timestamptz)
LANGUAGE sql STABLE AS $$
-- OFFSET 0 keeps the time out of the look by key: among many routes of a number, the caller's are few.
    SELECT m.ends_at
      FROM agi_router.lock_mark m
     WHERE m.key = _x_number AND m.starts_at <= _now AND (m.ends_at IS NULL OR m.ends_at > _now)
     UNION ALL
    SELECT r.ends_at + _number_quarantine
      FROM agi_router.route r
     WHERE r.block = _block AND r.x_number = _x_number
       AND r.ends_at > _now - _number_quarantine AND r.ends_at <= _now
     UNION ALL
    SELECT r.ends_at + _number_quarantine
      FROM agi_router.past_route r
     WHERE r.block = _block AND r.x_number = _x_number
       AND r.ends_at > _now - _number_quarantine AND r.ends_at <= _now
     UNION ALL
    SELECT m.ends_at + _party_quarantine
      FROM (SELECT r.ends_at FROM agi_router.route r
             WHERE r.block = _block AND r.x_number = _x_number AND r.caller_tag = ANY (_tags) OFFSET 0) m
     WHERE m.ends_at > _now - _party_quarantine
     UNION ALL
    SELECT m.ends_at + _party_quarantine
      FROM (SELECT r.ends_at FROM agi_router.past_route r
             WHERE r.block = _block AND r.x_number = _x_number AND r.caller_tag = ANY (_tags) OFFSET 0) m
     WHERE m.ends_at > _now - _party_quarantine
$$;
COMMENT ON FUNCTION agi_router.find_rests_of_x IS 'Why a number cannot be had by callers with these tags, and until when: it is locked, or rests, or one of them is or was of late on it; null: for good. No row: it can';
