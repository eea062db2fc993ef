CREATE OR REPLACE FUNCTION agi_router.find_binding(_block bigint, _binding_id bigint, _scope integer)
RETURNS SETOF agi_router.stored_binding
LANGUAGE sql STABLE AS $$
    SELECT b.block, b.id, t.name, b.mode, b.state, b.begins_at, b.expires_at, b.ended_at, b.max_calls,
           b.calls_used, b.counting, b.direction, b.ring_timeout, b.max_duration, b.language, b.order_id,
           b.callback, b.callback_window, b.display_a, b.display_b, b.prompts, b.extension, b.y_ttl,
           b.parent_id, b.out_id, b.user_data, b.industrial_id, b.version, now()
      FROM agi_router.binding b
      JOIN agi_router.tenant t ON t.id = b.tenant_id
     WHERE b.block = _block AND b.id = _binding_id AND agi_router.in_scope(b.tenant_id, _scope)
$$;
COMMENT ON FUNCTION agi_router.find_binding IS 'One binding; no row: there is none within the scope';
