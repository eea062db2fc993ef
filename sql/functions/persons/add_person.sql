CREATE OR REPLACE FUNCTION agi_router.add_person(
    _id bigint, _tags bigint[], _digests bytea[], _sealed bytea[])
RETURNS bigint
LANGUAGE plpgsql AS $$
-- Two who add the same person at once do not wait for each other: it then has two ids, and is found by both.
DECLARE
    _found bigint;
BEGIN
    -- The greatest is taken of those that the tags find. Asked for max(person_id) itself, a planner that has seen an empty
    -- table walks all persons in the order of their ids.
    SELECT max(m.person_id)
      INTO _found
      FROM (SELECT o.person_id
              FROM agi_router.person_mark o
             WHERE o.tag = ANY (_tags) AND o.digest = ANY (_digests) OFFSET 0) m;
    IF _found IS NULL THEN
        INSERT INTO agi_router.person_mark (tag, person_id, digest, sealed)
        SELECT unnest(_tags), _id, unnest(_digests), unnest(_sealed);
        PERFORM agi_router.count_seals(cardinality(_tags));
        _found := _id;
    END IF;
    RETURN _found;
END
$$;
COMMENT ON FUNCTION agi_router.add_person IS 'The id of a person who has one of these digests; if nobody has, that which is given, with these marks, one under each tag key. Whoever calls it has asserted the keys';
