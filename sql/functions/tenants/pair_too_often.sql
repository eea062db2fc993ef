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
      FROM (SELECT DISTINCT b.block, b.id, b.begins_at
              -- A route begins no earlier than its binding.
              FROM (SELECT r.block, r.binding_id
                      FROM agi_router.route r
                     WHERE r.caller_tag = ANY (_a_tags) AND r.begins_at > _since
                    UNION ALL
                    SELECT p.block, p.binding_id
                      FROM agi_router.past_route p
                     WHERE p.caller_tag = ANY (_a_tags) AND p.begins_at > _since) o
              JOIN agi_router.binding b ON b.block = o.block AND b.id = o.binding_id
             WHERE b.tenant_id = _tenant_id AND b.parent_id IS NULL AND b.begins_at > _since
               AND b.id <> ALL (_later)
               AND (EXISTS (SELECT 1
                              FROM agi_router.route r
                             WHERE r.block = b.block AND r.binding_id = b.id
                               AND (r.caller_tag = ANY (_b_tags) OR r.callee_tags && _b_tags))
                    OR EXISTS (SELECT 1
                                 FROM agi_router.past_route p
                                WHERE p.block = b.block AND p.binding_id = b.id
                                  AND (p.caller_tag = ANY (_b_tags) OR p.callee_tags && _b_tags)))) f;
    RETURN CASE WHEN counted.binds > _most THEN counted.wait END;
END
$$;
COMMENT ON FUNCTION agi_router.pair_too_often IS 'How long until two may be bound again for a tenant who were bound more often within a time than they may be, by a binding that this transaction has just made, so that it has to be undone; null: they were not. _pair: tag of both together, under the current key. _in_turn, _later: see agi_router.is_order_crowded';
