CREATE OR REPLACE FUNCTION agi_router.is_listed(
    _block bigint, _id bigint, _mode text, _state text, _begins_at timestamptz, _expires_at timestamptz,
    _ended_at timestamptz, _wanted_state text, _wanted_mode text, _created_after timestamptz,
    _after_at timestamptz, _after_block bigint, _after_id bigint)
RETURNS boolean
LANGUAGE sql AS $$
-- Volatile, as the clock is, and so is taken for its text: an index serves what it says of a page.
    SELECT (_wanted_state IS NULL
            OR CASE WHEN _ended_at IS NULL AND _expires_at <= clock_timestamp() THEN 'expired' ELSE _state END
               = _wanted_state)
       AND (_wanted_mode IS NULL OR _mode = _wanted_mode)
       AND (_created_after IS NULL OR _begins_at > _created_after)
       AND (_after_at IS NULL OR (_begins_at, _block, _id) < (_after_at, _after_block, _after_id))
$$;
COMMENT ON FUNCTION agi_router.is_listed IS 'Whether a binding, given by its columns, belongs on a page of a list, newest first: in this state, of this mode, made after this time, behind the last one of another page; null: whatever it is';
