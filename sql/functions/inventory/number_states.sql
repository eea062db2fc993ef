CREATE OR REPLACE FUNCTION agi_router.number_states(
    _block bigint, _first bigint, _last bigint, _number_quarantine interval, _now timestamptz)
RETURNS TABLE (x_number bigint, bound boolean, rests_until timestamptz)
LANGUAGE plpgsql STABLE AS $$
-- Numbers are counted a few at a time: whoever counts a whole block keeps a processor from calls for
-- as long.
BEGIN
    RETURN QUERY
    SELECT n.x,
           -- Scalar, not EXISTS: that could be answered by reading the whole block.
           (SELECT true FROM agi_router.route r
             WHERE r.block = _block AND r.x_number = n.x AND r.ends_at > _now LIMIT 1) IS NOT NULL,
           greatest(
               (SELECT r.ends_at FROM agi_router.route r
                 WHERE r.block = _block AND r.x_number = n.x
                   AND r.ends_at > _now - _number_quarantine AND r.ends_at <= _now
                 ORDER BY r.ends_at DESC LIMIT 1),
               (SELECT r.ends_at FROM agi_router.past_route r
                 WHERE r.block = _block AND r.x_number = n.x
                   AND r.ends_at > _now - _number_quarantine AND r.ends_at <= _now
                 ORDER BY r.ends_at DESC LIMIT 1)) + _number_quarantine
      FROM generate_series(_first, _last) n (x);
END
$$;
COMMENT ON FUNCTION agi_router.number_states IS 'Numbers of one block, from the first to the last: whether anybody is bound on each, and until when it rests; null: it does not';
