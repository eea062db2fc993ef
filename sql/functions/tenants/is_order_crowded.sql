CREATE OR REPLACE FUNCTION agi_router.is_order_crowded(
    _tenant_id integer, _order_id text, _most integer, _refuses boolean, _in_turn boolean, _later bigint[])
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    _pairs bigint;
BEGIN
    IF _in_turn THEN
        PERFORM agi_router.take_turns(7002041, ARRAY[_tenant_id || ' ' || _order_id]);
    END IF;
    -- Whoever was replaced was bound by it, too; or by another order that the binding had: changed there and back,
    -- it would be forgotten.
    SELECT count(DISTINCT b.order_tag) + coalesce(sum(b.replaced), 0)
      INTO _pairs
      FROM agi_router.binding b
     WHERE b.order_id = _order_id AND b.tenant_id = _tenant_id AND b.parent_id IS NULL AND b.id <> ALL (_later);
    IF _pairs > _most AND _refuses THEN
        RETURN true;
    END IF;
    -- Where more are refused, the last one that is not is told: what is refused is undone.
    IF _pairs >= _most + (NOT _refuses)::integer THEN
        PERFORM agi_router.tell(NULL, NULL, t.id, 'order.crowded', NULL,
                                jsonb_build_object('order_id', _order_id, 'pairs', _pairs, 'most', _most,
                                                   'refused', _refuses))
           FROM agi_router.tenant t
          WHERE t.id = _tenant_id AND 'order.crowded' = ANY (t.told);
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION agi_router.is_order_crowded IS 'Whether more different parties are bound by an order of a tenant than may be, by a binding that this transaction has just made, so that it has to be undone; if so many may be, or nothing is refused, it is told. _in_turn: others who bind by it wait for the end of the transaction; else those who bind at the same time are not counted. _later: bindings that were made together with it and come after it';
