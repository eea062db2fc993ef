CREATE OR REPLACE FUNCTION agi_router.evict_ended_routes(_block bigint, _x_number bigint[], _caller_tag bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(_caller_tag) > 0 THEN
        PERFORM agi_router.make_room(_block, _x_number, _caller_tag);
        IF EXISTS (SELECT 1
                     FROM unnest(_x_number, _caller_tag) n (x_number, caller_tag)
                     JOIN agi_router.route r
                       ON r.block = _block AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag) THEN
            RAISE unique_violation USING
                MESSAGE = 'a live binding holds one of the routes', CONSTRAINT = 'route_pkey';
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.evict_ended_routes IS 'Moves routes of ended bindings out of the way; fails with route_pkey where a live binding holds one of the places, which the key of the table does not see under another tag';
