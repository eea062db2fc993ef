CREATE OR REPLACE FUNCTION agi_router.list_traced(_block bigint[], _id bigint[])
RETURNS TABLE (
    block bigint, id bigint, tenant_id integer, mode text, state text, begins_at timestamptz, expires_at timestamptz,
    ended_at timestamptz, order_id text, moments timestamptz[])
LANGUAGE sql STABLE AS $$
    SELECT b.block, b.id, b.tenant_id, b.mode, b.state, b.begins_at, b.expires_at, b.ended_at, b.order_id,
           ARRAY(SELECT m.at FROM agi_router.list_moments(b.block, b.id) m ORDER BY m.at)
      FROM unnest(_block, _id) n (block, id)
      JOIN agi_router.binding b ON b.block = n.block AND b.id = n.id
$$;
COMMENT ON FUNCTION agi_router.list_traced IS 'Bindings with the times at which their parties may have changed';
