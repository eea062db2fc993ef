-- bind takes a binding's terms as one value, so that a new term is a new column and nothing else.

DROP FUNCTION agi_router.bind;
CREATE FUNCTION agi_router.bind(
    _block bigint, _terms jsonb, _x_number bigint[], _caller_tag bigint[], _shown bigint[],
    _side text[], _callee bytea[], _caller bytea[])
RETURNS agi_router.binding
LANGUAGE plpgsql AS $$
DECLARE
    made agi_router.binding;
BEGIN
    PERFORM FROM agi_router.block k
      WHERE k.block = _block AND k.state = 'active'
        FOR KEY SHARE; -- waits where the block is just being returned, and looks again
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- What every new binding has; the terms say the rest.
    made := jsonb_populate_record(NULL::agi_router.binding, _terms);
    made.block := _block;
    made.id := nextval('agi_router.binding_id');
    made.calls_used := 0;
    made.begins_at := now();
    made.state := 'active';
    INSERT INTO agi_router.binding VALUES (made.*);
    PERFORM agi_router.add_routes(_block, made.id, _x_number, _caller_tag, _shown, _side, _callee, _caller);
    RETURN made;
END
$$;
COMMENT ON FUNCTION agi_router.bind IS 'Makes a binding with its routes; _terms holds columns of binding by name. Fails with route_pkey where a live binding holds one of the routes; null where the block is not active';
