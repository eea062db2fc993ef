CREATE OR REPLACE FUNCTION agi_router.fault_of_route(
    _home bigint, _x_number bigint, _shown bigint, _side text, _last_callee bytea, _last_at timestamptz)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN _side NOT IN ('a', 'b') THEN 'route_side_check'
                WHEN _x_number / 10000 <> _home THEN 'route_x_number_in_block'
                WHEN _shown / 10000 <> _home THEN 'route_shown_in_block'
                WHEN (_last_callee IS NULL) <> (_last_at IS NULL) THEN 'route_last_callee_with_time' END
$$;
COMMENT ON FUNCTION agi_router.fault_of_route IS 'What a route may not be, by its columns: the name of the condition that it does not meet; null: none. _home: its block. It reads nothing, so it runs wherever routes are written';
