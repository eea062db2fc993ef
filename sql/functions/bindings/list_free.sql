CREATE OR REPLACE FUNCTION agi_router.list_free(_block bigint, _x_number bigint[], _mode text)
RETURNS TABLE (x_number bigint)
LANGUAGE sql STABLE AS $$
    SELECT n.x_number
      FROM unnest(_x_number) WITH ORDINALITY n (x_number, place)
     WHERE NOT EXISTS (SELECT 1
                         FROM agi_router.route o
                         JOIN agi_router.binding p ON p.block = o.block AND p.id = o.binding_id
                        WHERE o.block = _block AND o.x_number = n.x_number
                          AND p.ended_at IS NULL AND p.expires_at > now()
                          AND NOT (p.mode = 'axe' AND _mode = 'axe'))
     ORDER BY n.place
$$;
COMMENT ON FUNCTION agi_router.list_free IS 'Of some numbers of a block, in their order, those on which a binding of a mode that strangers may call can be made';
