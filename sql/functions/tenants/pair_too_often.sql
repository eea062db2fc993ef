CREATE OR REPLACE FUNCTION agi_router.pair_too_often(
    _tenant_id integer, _most integer, _within interval, _pair bigint, _a_tags bigint[], _b_tags bigint[],
    _in_turn boolean, _later bigint[])
RETURNS interval
LANGUAGE plpgsql AS $$
DECLARE
    _since CONSTANT timestamptz := statement_timestamp() - _within;
    counted record;
BEGIN
    IF _in_turn THEN
        PERFORM agi_router.take_turns(7002042, ARRAY[_tenant_id || ' ' || _pair]);
    END IF;
    SELECT count(*) AS binds, min(f.begins_at) - _since AS wait
      INTO counted
      FROM (-- Two come together with the row by which A calls B: as they are bound, or one of them takes a place.
            SELECT DISTINCT o.block, o.binding_id, o.begins_at
              FROM (SELECT r.block, r.binding_id, r.begins_at
                      FROM agi_router.route r
                     WHERE r.side = 'a' AND r.begins_at > _since
                       AND (r.caller_tag = ANY (_a_tags) AND r.callee_tags && _b_tags
                            OR r.caller_tag = ANY (_b_tags) AND r.callee_tags && _a_tags)
                    UNION ALL
                    SELECT p.block, p.binding_id, p.begins_at
                      FROM agi_router.past_route p
                     WHERE p.side = 'a' AND p.begins_at > _since
                       AND (p.caller_tag = ANY (_a_tags) AND p.callee_tags && _b_tags
                            OR p.caller_tag = ANY (_b_tags) AND p.callee_tags && _a_tags)) o
              JOIN agi_router.binding b ON b.block = o.block AND b.id = o.binding_id
             WHERE b.tenant_id = _tenant_id AND b.parent_id IS NULL AND b.id <> ALL (_later)) f;
    RETURN CASE WHEN counted.binds > _most THEN counted.wait END;
END
$$;
COMMENT ON FUNCTION agi_router.pair_too_often IS 'How long until two may be bound again for a tenant who were bound more often within a time than they may be, by a binding that this transaction has just made, so that it has to be undone; null: they were not. _pair: tag of both together, under the current key. _in_turn, _later: see agi_router.is_order_crowded';
