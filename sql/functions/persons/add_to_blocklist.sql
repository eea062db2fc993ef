CREATE OR REPLACE FUNCTION agi_router.add_to_blocklist(
    _block bigint, _tag_key integer, _seal_key integer, _id bigint, _keys bigint[], _sealed bytea[],
    _other_keys bigint[], _other_sealed bytea[], _tenant_id integer, _direction text, _note text,
    _setter_id integer, _added_by text, _ends_at timestamptz)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    INSERT INTO agi_router.blocklist (id, key, sealed, other_key, other_sealed, tenant_id, direction, note,
                                      setter_id, added_by, added_at, ends_at)
    VALUES (_id, _keys[1], _sealed[1], _other_keys[1], _other_sealed[1], _tenant_id, _direction, _note,
            _setter_id, _added_by, _now, _ends_at);
    INSERT INTO agi_router.lock_mark (key, lock_id, subject, tenant_id, sealed, starts_at, ends_at, other_key,
                                      other_sealed, direction)
    SELECT m.key, _id, 'blocklist', _tenant_id, m.sealed, _now, _ends_at, m.other_key, m.other_sealed, _direction
      FROM unnest(_keys, _sealed, _other_keys, _other_sealed) m (key, sealed, other_key, other_sealed);
    PERFORM agi_router.count_seals(cardinality(_sealed) + cardinality(_other_sealed));
    PERFORM agi_router.tell_blocklist(_id, 'blocklist.added');
END
$$;
COMMENT ON FUNCTION agi_router.add_to_blocklist IS 'Adds an entry to the block lists. _block: null; _keys, _sealed: tags and seals of the person under every tag key, the current one first; _other_keys, _other_sealed: the same of the other person, none for anybody';
