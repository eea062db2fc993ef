CREATE OR REPLACE FUNCTION agi_router.keep_rules(
    _block bigint, _tenant_id integer, _consent text, _max_pair_binds integer, _max_order_pairs integer,
    _refuses_pairs boolean, _terms jsonb, _rules jsonb, _id bigint[], _made boolean[])
RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    _refused bigint[] := '{}';
    _place   integer;
    _said    jsonb;
    _each    jsonb;
    _later   bigint[];
    _written text;
BEGIN
    IF _max_order_pairs IS NOT NULL THEN
        PERFORM agi_router.take_turns(7002041, ARRAY(
            SELECT _tenant_id || ' ' || (t.value ->> 'order_id')
              FROM jsonb_array_elements(_terms) t
             WHERE t.value ->> 'order_id' IS NOT NULL));
    END IF;
    IF _max_pair_binds IS NOT NULL THEN
        PERFORM agi_router.take_turns(7002042, ARRAY(
            SELECT _tenant_id || ' ' || (e.value ->> 'pair')
              FROM jsonb_array_elements(_rules -> 'each') e
             WHERE e.value ->> 'pair' IS NOT NULL));
    END IF;
    FOR _place IN 1 .. cardinality(_id) LOOP
        CONTINUE WHEN NOT _made[_place];
        _said := _terms -> _place - 1;
        _each := _rules -> 'each' -> _place - 1;
        IF _consent = 'asserted' AND _said ->> 'consent' IS NOT NULL THEN
            -- An assignment, which starts no executor.
            _written := agi_router.state_consents(
                _tenant_id, _each -> 'people', _said ->> 'order_id', _said ->> 'consent', _block || '-' || _id[_place]);
        END IF;
        CONTINUE WHEN _max_order_pairs IS NULL AND _max_pair_binds IS NULL;
        _later := _id[_place + 1 :];
        IF _max_order_pairs IS NOT NULL AND _said ->> 'order_id' IS NOT NULL
           AND agi_router.is_order_crowded(_tenant_id, _said ->> 'order_id', _max_order_pairs, _refuses_pairs, false, _later)
           OR _max_pair_binds IS NOT NULL AND _each ->> 'pair' IS NOT NULL
           AND agi_router.pair_too_often(
               _tenant_id, _max_pair_binds, (_rules ->> 'within')::interval, (_each ->> 'pair')::bigint,
               (_each ->> 'a')::bigint[], (_each ->> 'b')::bigint[], false, _later) IS NOT NULL THEN
            _refused := _refused || _id[_place];
        END IF;
    END LOOP;
    RETURN _refused;
END
$$;
COMMENT ON FUNCTION agi_router.keep_rules IS 'Keeps the rules of a tenant as bindings have just been made of it: writes down what it states, and returns those that are too many of an order or of a pair, so that all have to be undone. _made: which of _id were made. _terms, _rules: see agi_router.bind_drawn';
