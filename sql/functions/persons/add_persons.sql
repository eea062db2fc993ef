CREATE OR REPLACE FUNCTION agi_router.add_persons(_people jsonb)
RETURNS bigint[]
LANGUAGE plpgsql AS $$
-- One look and one write for all of them: each statement takes longer to begin than to run. Two who add the same person at
-- once do not wait for each other: it then has two ids, and is found by both.
DECLARE
    _each    jsonb;
    _ids     bigint[]; -- of all people, those that they have or will have
    _place   integer[] := '{}'; -- of each mark: where its person stands in _ids
    _tags    bigint[];
    _digests bytea[];
    _sealed  bytea[];
    _known   agi_router.person_mark[];
    _mark    agi_router.person_mark;
    _found   bigint[]; -- as _ids; null: the person is new
    _at      integer;
    _told    text;
BEGIN
    FOR _at IN 1 .. jsonb_array_length(_people) LOOP
        _each := _people -> _at - 1;
        _ids := _ids || (_each ->> 'id')::bigint;
        _tags := _tags || (_each ->> 'tags')::bigint[];
        _digests := _digests || (_each ->> 'digests')::bytea[];
        _sealed := _sealed || (_each ->> 'sealed')::bytea[];
        _place := _place || array_fill(_at, ARRAY[cardinality(_tags) - cardinality(_place)]);
    END LOOP;
    _known := ARRAY(SELECT m FROM agi_router.person_mark m WHERE m.tag = ANY (_tags) AND m.digest = ANY (_digests));
    IF cardinality(_known) > 0 THEN
        FOREACH _mark IN ARRAY _known LOOP
            _at := _place[array_position(_digests, _mark.digest)];
            _found[_at] := greatest(_found[_at], _mark.person_id);
        END LOOP;
        FOR _at IN 1 .. cardinality(_ids) LOOP
            _ids[_at] := coalesce(_found[_at], _ids[_at]);
        END LOOP;
        FOR _at IN REVERSE cardinality(_tags) .. 1 LOOP
            IF _found[_place[_at]] IS NOT NULL THEN
                _tags := _tags[: _at - 1] || _tags[_at + 1 :];
                _place := _place[: _at - 1] || _place[_at + 1 :];
                _digests := _digests[: _at - 1] || _digests[_at + 1 :];
                _sealed := _sealed[: _at - 1] || _sealed[_at + 1 :];
            END IF;
        END LOOP;
    END IF;
    IF cardinality(_tags) > 0 THEN
        INSERT INTO agi_router.person_mark (tag, person_id, digest, sealed)
        SELECT unnest(_tags), _ids[unnest(_place)], unnest(_digests), unnest(_sealed);
        _told := agi_router.count_seals(cardinality(_tags));
    END IF;
    RETURN _ids;
END
$$;
COMMENT ON FUNCTION agi_router.add_persons IS 'The ids of people, in their order: of one who has one of its digests already, the greatest that it has; of all others those that are given, with these marks. _people: of each id, and tags, digests and sealed, one under each tag key. Whoever calls it has asserted the keys';
