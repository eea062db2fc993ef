CREATE OR REPLACE FUNCTION agi_router.find_rests(
    _block bigint, _binding_id bigint, _x_number bigint[], _caller_tag bigint[], _place integer[],
    _number_quarantine interval, _party_quarantine interval, _now timestamptz)
RETURNS TABLE (x_number bigint, caller_tag bigint, until timestamptz)
LANGUAGE plpgsql STABLE AS $$
-- A binding that has ended keeps others off: for _number_quarantine from its numbers, for
-- _party_quarantine each of its parties from the number it dialled. It does not keep off those who were
-- all parties of it themselves: on the same numbers they would meet nobody new.
BEGIN
    RETURN QUERY
    WITH place AS MATERIALIZED (
        SELECT p.x_number, p.caller_tag, p.place
          FROM unnest(_x_number, _caller_tag, _place) p (x_number, caller_tag, place)
    ), ended AS (
        SELECT n.x_number, NULL::bigint AS caller_tag, e.binding_id, e.ends_at + _number_quarantine AS until
          FROM (SELECT DISTINCT p.x_number FROM place p) n
         CROSS JOIN LATERAL (
               SELECT r.binding_id, r.ends_at
                 FROM agi_router.route r
                WHERE r.block = _block AND r.x_number = n.x_number
                  AND r.ends_at > _now - _number_quarantine AND r.ends_at <= _now
               UNION ALL
               SELECT r.binding_id, r.ends_at
                 FROM agi_router.past_route r
                WHERE r.block = _block AND r.x_number = n.x_number
                  AND r.ends_at > _now - _number_quarantine AND r.ends_at <= _now) e
        UNION ALL
        SELECT p.x_number, p.caller_tag, e.binding_id, e.ends_at + _party_quarantine
          FROM place p
         CROSS JOIN LATERAL (
               SELECT r.binding_id, r.ends_at
                 FROM agi_router.route r
                WHERE r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                  AND r.ends_at > _now - _party_quarantine AND r.ends_at <= _now
               UNION ALL
               SELECT r.binding_id, r.ends_at
                 FROM agi_router.past_route r
                WHERE r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                  AND r.ends_at > _now - _party_quarantine AND r.ends_at <= _now) e
    )
    SELECT e.x_number, e.caller_tag, max(e.until)
      FROM ended e
     WHERE e.binding_id IS DISTINCT FROM _binding_id
       AND EXISTS (
           SELECT 1
             FROM place w
            WHERE NOT EXISTS (
                  SELECT 1
                    FROM place p
                    JOIN agi_router.route r
                      ON r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                   WHERE p.place = w.place AND r.binding_id = e.binding_id)
              AND NOT EXISTS (
                  SELECT 1
                    FROM place p
                    JOIN agi_router.past_route r
                      ON r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                   WHERE p.place = w.place AND r.binding_id = e.binding_id))
     GROUP BY 1, 2;
END
$$;
COMMENT ON FUNCTION agi_router.find_rests IS 'Which of these places may not be taken yet, and until when; caller_tag is null where the number rests for all. Lines with one _place are one caller under several keys. _binding_id: to which the places are added, or null';
