CREATE OR REPLACE FUNCTION agi_router.find_complained_call(_block bigint, _x_number bigint, _at timestamptz)
RETURNS TABLE (block bigint, binding_id bigint, side text, received_at timestamptz, tenant_id integer)
LANGUAGE sql STABLE AS $$
    -- The last call before it; one behind it only where there is none, as its clock may differ a little. One number is
    -- shown to both sides, and to one pair after the other: where calls of several showed it, nobody knows which it was.
    SELECT n.block, n.binding_id,
           CASE WHEN min(n.block) OVER () = max(n.block) OVER ()
                 AND min(n.binding_id) OVER () = max(n.binding_id) OVER ()
                 AND min(n.side) OVER () = max(n.side) OVER ()
                THEN n.side
           END,
           n.received_at, n.tenant_id
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
     ORDER BY n.received_at <= _at DESC, n.received_at DESC
     LIMIT 1
$$;
COMMENT ON FUNCTION agi_router.find_complained_call IS 'The call that somebody complains of to whom a 700 number was shown: the last one. side: who has placed it; null: calls of several showed the number in that time. No row: there is none';
