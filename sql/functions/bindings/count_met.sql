CREATE OR REPLACE FUNCTION agi_router.count_met(
    _block bigint, _x_number bigint[], _tags bigint[], _party_quarantine interval)
RETURNS TABLE (numbers bigint)
LANGUAGE sql STABLE AS $$
    SELECT count(*)
      FROM (SELECT clock_timestamp() AS now OFFSET 0) t
     CROSS JOIN unnest(_x_number) n (x_number)
     WHERE (SELECT true FROM agi_router.route r
             WHERE r.block = _block AND r.x_number = n.x_number AND r.caller_tag = ANY (_tags)
               AND r.ends_at > t.now - _party_quarantine LIMIT 1)
        OR (SELECT true FROM agi_router.past_route r
             WHERE r.block = _block AND r.x_number = n.x_number AND r.caller_tag = ANY (_tags)
               AND r.ends_at > t.now - _party_quarantine LIMIT 1)
$$;
COMMENT ON FUNCTION agi_router.count_met IS 'On how many of some numbers of one block a caller with one of these tags is, or was of late';
