CREATE OR REPLACE FUNCTION agi_router.end_order(_order_id text, _scope integer)
RETURNS TABLE (block bigint, id bigint)
LANGUAGE sql AS $$
    WITH alive AS (
        SELECT b.block, b.id
          FROM agi_router.binding b
         WHERE b.order_id = _order_id AND b.ended_at IS NULL AND b.expires_at > statement_timestamp()
           AND agi_router.in_scope(b.tenant_id, _scope)
         ORDER BY b.block, b.id
           FOR NO KEY UPDATE
    )
    UPDATE agi_router.binding b
       SET state = 'order_ended', ended_at = statement_timestamp(), version = b.version + 1
      FROM alive a
     WHERE b.block = a.block AND b.id = a.id
    RETURNING b.block, b.id
$$;
COMMENT ON FUNCTION agi_router.end_order IS 'Ends all bindings of an order that are alive and within the scope; locked in one order, as by a settlement';
