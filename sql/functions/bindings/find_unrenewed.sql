CREATE OR REPLACE FUNCTION agi_router.find_unrenewed(_block bigint, _binding_id bigint, _header bytea)
RETURNS TABLE (unrenewed boolean)
LANGUAGE sql STABLE AS $$
    SELECT true
      FROM (SELECT r.callee, r.caller, r.last_callee FROM agi_router.route r
             WHERE r.block = _block AND r.binding_id = _binding_id
            UNION ALL
            SELECT p.callee, p.caller, NULL FROM agi_router.past_route p
             WHERE p.block = _block AND p.binding_id = _binding_id) o
     WHERE (agi_router.sealed_otherwise(o.callee, _header)
            OR agi_router.sealed_otherwise(o.caller, _header)
            OR agi_router.sealed_otherwise(o.last_callee, _header))
       -- What was sealed with a key that is no more stays so.
       AND NOT EXISTS (SELECT 1
                         FROM agi_router.past_route p
                         JOIN agi_router.key k ON k.kind = 'seal' AND k.state = 'destroyed'
                        WHERE p.block = _block AND p.binding_id = _binding_id
                          AND (agi_router.sealed_with(p.callee, k.id) OR agi_router.sealed_with(p.caller, k.id)))
     LIMIT 1
$$;
COMMENT ON FUNCTION agi_router.find_unrenewed IS 'One row if a route of a binding, or a past one, is sealed or tagged with other keys than those of this header, or by the other cipher. LIMIT: each binding is looked up by its key, none is scanned for';
