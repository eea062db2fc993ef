CREATE OR REPLACE FUNCTION agi_router.fit_rules(
    _block bigint, _tenant_id integer, _scenes text[], _consent text, _needs_real_name boolean, _terms jsonb, _rules jsonb)
RETURNS boolean[]
LANGUAGE plpgsql AS $$
DECLARE
    _said jsonb;
    _fit  boolean[] := '{}';
    _asks boolean := _needs_real_name; -- whether persons have to be looked at
BEGIN
    -- Mostly what is said is enough, and no statement has to begin.
    FOR _place IN 1 .. jsonb_array_length(_terms) LOOP
        _said := _terms -> _place - 1;
        _fit[_place] := _scenes = '{}' OR coalesce(_said ->> 'scene' = ANY (_scenes), false);
        _asks := _asks OR _consent <> 'off' AND (_consent <> 'asserted' OR _said ->> 'consent' IS NULL);
    END LOOP;
    IF NOT _asks THEN
        RETURN _fit;
    END IF;
    RETURN ARRAY(
        SELECT (_scenes = '{}' OR coalesce(n.terms ->> 'scene' = ANY (_scenes), false))
               AND (_consent = 'off'
                    OR _consent = 'asserted' AND n.terms ->> 'consent' IS NOT NULL
                    OR coalesce((
                        SELECT bool_and(agi_router.agrees(
                                   _tenant_id, (p.value ->> 'tags')::bigint[], (p.value ->> 'digests')::bytea[],
                                   n.terms ->> 'order_id'))
                          FROM jsonb_array_elements(_rules -> 'each' -> n.place - 1 -> 'people') p), false))
               AND (NOT _needs_real_name
                    OR coalesce((
                        SELECT bool_and(agi_router.is_verified(
                                   _tenant_id, (p.value ->> 'tags')::bigint[], (p.value ->> 'digests')::bytea[]))
                          FROM jsonb_array_elements(_rules -> 'each' -> n.place - 1 -> 'people') p), false))
          FROM (SELECT t.value AS terms, t.ordinality::integer AS place
                  FROM jsonb_array_elements(_terms) WITH ORDINALITY t) n
         ORDER BY n.place);
END
$$;
COMMENT ON FUNCTION agi_router.fit_rules IS 'Of bindings that are to be made of a tenant, whether each names a scene of its, all parties agree or it states so, and all are known by their real names, where that is asked for. _terms, _rules: see agi_router.bind_drawn';
