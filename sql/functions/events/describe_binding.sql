CREATE OR REPLACE FUNCTION agi_router.describe_binding(_binding agi_router.binding)
RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'mode', _binding.mode, 'pool', _binding.pool, 'state', _binding.state, 'order_id', _binding.order_id,
        'out_id', _binding.out_id, 'user_data', _binding.user_data,
        'begins_at', _binding.begins_at, 'expires_at', _binding.expires_at, 'ended_at', _binding.ended_at,
        'max_calls', _binding.max_calls, 'calls_used', _binding.calls_used)
$$;
COMMENT ON FUNCTION agi_router.describe_binding IS 'What events say of a binding as it stands';
