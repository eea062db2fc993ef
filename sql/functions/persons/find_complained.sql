CREATE OR REPLACE FUNCTION agi_router.find_complained(_block bigint, _x_number bigint, _at timestamptz) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        -- The last call before it, whose clock may differ a little.
        (SELECT n.tenant_id
           FROM (SELECT c.tenant_id, c.received_at, c.day
                   FROM agi_router.call c
                  WHERE c.shown = _x_number AND c.state = 'settled' AND c.reason IS NULL
                  UNION ALL
                 -- Those that are up: few, and found by an index of their own.
                 SELECT c.tenant_id, c.received_at, c.day
                   FROM agi_router.call c
                  WHERE c.block = _block AND c.shown = _x_number AND c.state = 'reserved') n
          WHERE n.tenant_id IS NOT NULL
            AND n.day BETWEEN (_at - interval '1 day')::date - 1 AND (_at + interval '1 minute')::date + 1
            AND n.received_at BETWEEN _at - interval '1 day' AND _at + interval '1 minute'
          ORDER BY n.received_at DESC
          LIMIT 1),
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
