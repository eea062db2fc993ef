CREATE OR REPLACE FUNCTION agi_router.count_held(
    _block bigint, _number_quarantine interval, _at timestamptz)
RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT count(*)
          FROM generate_series(_block * 10000, _block * 10000 + 9999) n (x)
         WHERE (SELECT true FROM agi_router.route r
                 WHERE r.block = _block AND r.x_number = n.x
                   AND r.ends_at > _at - _number_quarantine AND r.begins_at <= _at LIMIT 1)
            OR (SELECT true FROM agi_router.past_route r
                 WHERE r.block = _block AND r.x_number = n.x
                   AND r.ends_at > _at - _number_quarantine AND r.begins_at <= _at LIMIT 1));
END
$$;
COMMENT ON FUNCTION agi_router.count_held IS 'How many numbers of a block were bound or resting at a time';
