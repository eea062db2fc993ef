CREATE OR REPLACE FUNCTION agi_router.state_consents(
    _tenant_id integer, _people jsonb, _order_id text, _how text, _binding text)
RETURNS void
LANGUAGE plpgsql AS $$
-- One look and two writes for all of them: each statement takes longer to begin than to run. See agi_router.add_person,
-- which does the same for one person.
DECLARE
    _each    jsonb;
    _marks   integer;
    _ids     bigint[] := '{}'; -- of all people, those that they have or will have
    _place   integer[] := '{}'; -- of each mark: where its person stands in _ids
    _tags    bigint[] := '{}';
    _digests bytea[] := '{}';
    _sealed  bytea[] := '{}';
    _known   agi_router.person_mark[];
    _mark    agi_router.person_mark;
    _found   bigint[] := '{}'; -- as _ids; null: the person is new
    _at      integer;
    _whose   bigint[] := '{}'; -- of each mark
    _told    text;
BEGIN
    FOR _at IN 1 .. jsonb_array_length(_people) LOOP
        _each := _people -> _at - 1;
        _marks := cardinality(_tags);
        _ids := _ids || (_each ->> 'id')::bigint;
        _tags := _tags || (_each ->> 'tags')::bigint[];
        _digests := _digests || (_each ->> 'digests')::bytea[];
        _sealed := _sealed || (_each ->> 'sealed')::bytea[];
        FOR _ IN _marks + 1 .. cardinality(_tags) LOOP
            _place := _place || _at;
            _whose := _whose || _ids[_at];
        END LOOP;
    END LOOP;
    _known := ARRAY(SELECT m FROM agi_router.person_mark m WHERE m.tag = ANY (_tags) AND m.digest = ANY (_digests));
    IF _known <> '{}' THEN
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
                _whose := _whose[: _at - 1] || _whose[_at + 1 :];
                _digests := _digests[: _at - 1] || _digests[_at + 1 :];
                _sealed := _sealed[: _at - 1] || _sealed[_at + 1 :];
            END IF;
        END LOOP;
    END IF;
    IF _tags <> '{}' THEN
        INSERT INTO agi_router.person_mark (tag, person_id, digest, sealed)
        SELECT unnest(_tags), unnest(_whose), unnest(_digests), unnest(_sealed);
        _told := agi_router.count_seals(cardinality(_tags));
    END IF;
    INSERT INTO agi_router.consent (
        tenant_id, person_id, act, purpose, order_id, how, at, binding, added_at, added_by)
    SELECT _tenant_id, unnest(_ids), 'given', 'binding', _order_id, _how, clock_timestamp(), _binding, clock_timestamp(),
           'the tenant, with the bind';
END
$$;
COMMENT ON FUNCTION agi_router.state_consents IS 'Writes down that people agree, as their tenant states it with a bind. _people: of each the id that it has if it is new, and its marks; see agi_router.add_person';
