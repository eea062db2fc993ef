CREATE OR REPLACE FUNCTION agi_router.describe_limits(
    _hours text, _zone text, _call_limits jsonb, _now timestamptz)
RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
-- In plpgsql: nothing of it is planned for a call without limits.
BEGIN
    RETURN jsonb_build_object(
        'hours', _hours,
        'minute', CASE WHEN _hours IS NOT NULL THEN agi_router.minute_of_week(_zone, _now) END,
        'calls', _call_limits);
END
$$;
COMMENT ON FUNCTION agi_router.describe_limits IS 'The limits that hold for a call or a text: hours, null for none, with the minute of the local week; and how many calls of its tenant go through';
