CREATE OR REPLACE FUNCTION agi_router.find_complained(_block bigint, _x_number bigint, _at timestamptz) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT c.tenant_id FROM agi_router.find_complained_call(_block, _x_number, _at) c),
        (SELECT b.tenant_id
           FROM (SELECT r.binding_id
                   FROM agi_router.route r
                  WHERE r.block = _block AND r.x_number = _x_number
                  UNION
                 SELECT p.binding_id
                   FROM agi_router.past_route p
                  WHERE p.block = _block AND p.x_number = _x_number) n
           JOIN agi_router.binding b ON b.block = _block AND b.id = n.binding_id
          WHERE b.begins_at <= _at AND coalesce(b.ended_at, b.expires_at) > _at
          ORDER BY b.begins_at DESC
          LIMIT 1),
        (SELECT k.tenant_id FROM agi_router.block k WHERE k.block = _block))
$$;
COMMENT ON FUNCTION agi_router.find_complained IS 'Whose call from a 700 number it was that somebody complains of: that of the last call, else of who was bound on it then, else of its block; null: nobody knows';
