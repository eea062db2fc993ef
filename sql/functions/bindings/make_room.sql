CREATE OR REPLACE FUNCTION agi_router.make_room(_block bigint, _x_number bigint[], _caller_tag bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
-- A route whose binding is over makes room and goes to past_route; one whose binding lives stays.
-- A binding that has expired is first marked so: that takes its row lock, so it cannot be extended
-- at the same moment. Rows are locked in one order for all, or two that make room at once, or one
-- and a settlement, could wait for each other in a circle.
DECLARE
    _now timestamptz := clock_timestamp();
BEGIN
    UPDATE agi_router.binding b
       SET state = 'expired', ended_at = b.expires_at
      FROM (SELECT o.id
              FROM agi_router.binding o
             WHERE o.block = _block AND o.ended_at IS NULL AND o.expires_at <= _now
               AND o.id = ANY (ARRAY(
                   SELECT r.binding_id
                     FROM unnest(_x_number, _caller_tag) n (x_number, caller_tag)
                     JOIN agi_router.route r
                       ON r.block = _block AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag))
             ORDER BY o.id
               FOR NO KEY UPDATE) over
     WHERE b.block = _block AND b.id = over.id;
    PERFORM agi_router.retire_routes(
                array_agg(old.block), array_agg(old.x_number), array_agg(old.caller_tag),
                array_agg(old.binding_id), NULL)
       FROM (SELECT o.block, o.x_number, o.caller_tag, o.binding_id
               FROM unnest(_x_number, _caller_tag) n (x_number, caller_tag)
               JOIN agi_router.route o
                 ON o.block = _block AND o.x_number = n.x_number AND o.caller_tag = n.caller_tag
               JOIN agi_router.binding b ON b.block = o.block AND b.id = o.binding_id
              WHERE b.ended_at IS NOT NULL
              ORDER BY o.x_number, o.caller_tag
                FOR UPDATE OF o) old
     HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION agi_router.make_room IS 'Moves the routes of ended bindings out of the way of new ones';
