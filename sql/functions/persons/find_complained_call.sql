CREATE OR REPLACE FUNCTION agi_router.find_complained_call(_block bigint, _x_number bigint, _at timestamptz)
RETURNS TABLE (block bigint, binding_id bigint, side text, received_at timestamptz, tenant_id integer)
LANGUAGE sql STABLE AS $$
    -- The last call before it, whose clock may differ a little.
    SELECT n.block, n.binding_id, n.side, n.received_at, n.tenant_id
      FROM (SELECT c.block, c.binding_id, c.side, c.received_at, c.tenant_id, c.day
              FROM agi_router.call c
             WHERE c.shown = _x_number AND c.state = 'settled' AND c.reason IS NULL
              UNION ALL
             -- Those that are up: few, and found by an index of their own.
             SELECT c.block, c.binding_id, c.side, c.received_at, c.tenant_id, c.day
               FROM agi_router.call c
              WHERE c.block = _block AND c.shown = _x_number AND c.state = 'reserved') n
     WHERE n.tenant_id IS NOT NULL
       AND n.day BETWEEN (_at - interval '1 day')::date - 1 AND (_at + interval '1 minute')::date + 1
       AND n.received_at BETWEEN _at - interval '1 day' AND _at + interval '1 minute'
     ORDER BY n.received_at DESC
     LIMIT 1
$$;
COMMENT ON FUNCTION agi_router.find_complained_call IS 'The call that somebody complains of to whom a 700 number was shown: the last one. No row: there is none';
