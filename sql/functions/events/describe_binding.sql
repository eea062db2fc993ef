CREATE OR REPLACE FUNCTION agi_router.describe_binding(
    _mode text, _pool text, _state text, _order_id text, _out_id text, _user_data text, _begins_at timestamptz,
    _expires_at timestamptz, _ended_at timestamptz, _max_calls integer, _calls_used integer)
RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'mode', _mode, 'pool', _pool, 'state', _state, 'order_id', _order_id, 'out_id', _out_id, 'user_data', _user_data,
        'begins_at', _begins_at, 'expires_at', _expires_at, 'ended_at', _ended_at,
        'max_calls', _max_calls, 'calls_used', _calls_used)
$$;
COMMENT ON FUNCTION agi_router.describe_binding IS 'What events say of a binding, by the columns of these names';
