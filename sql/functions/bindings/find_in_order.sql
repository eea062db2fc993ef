CREATE OR REPLACE FUNCTION agi_router.find_in_order(
    _order_id text, _order_tags bigint[], _pool text, _x_number bigint, _scope integer)
RETURNS TABLE (block bigint, id bigint)
LANGUAGE sql STABLE AS $$
    SELECT b.block, b.id
      FROM agi_router.binding b
     WHERE b.order_id = _order_id AND b.order_tag = ANY (_order_tags)
       AND b.ended_at IS NULL AND b.expires_at > clock_timestamp()
       AND b.pool IS NOT DISTINCT FROM _pool
       AND agi_router.in_scope(b.tenant_id, _scope)
       AND (_x_number IS NULL
            OR EXISTS (SELECT 1
                         FROM agi_router.route r
                        WHERE r.block = b.block AND r.binding_id = b.id AND r.x_number = _x_number))
     ORDER BY b.begins_at DESC, b.block DESC, b.id DESC
     LIMIT 1
$$;
COMMENT ON FUNCTION agi_router.find_in_order IS 'The newest live binding of an order with its parties; _x_number: on this number, or null: on any';
