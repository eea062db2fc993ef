CREATE OR REPLACE FUNCTION agi_router.set_lock(
    _block bigint, _tag_key integer, _seal_key integer, _id bigint, _subject text, _keys bigint[], _sealed bytea[],
    _tenant_id integer, _reason text, _rule text, _note text, _setter_id integer, _set_by text,
    _starts_at timestamptz, _ends_at timestamptz, _cut boolean)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz;
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    -- Whoever is just binding it is done before: see agi_router.await_locks. They bind by the current tag, which is
    -- the first; two places would be waited for in a circle with a batch, which takes its own one after the other.
    PERFORM pg_advisory_xact_lock(7002029, (_keys[1] & 63)::integer);
    -- Routers look for the calls of a lock that is new: whoever was waited for makes it no older.
    _now := clock_timestamp();
    INSERT INTO agi_router.lock (id, subject, key, sealed, tenant_id, reason, rule, note, setter_id,
                                 set_by, set_at, starts_at, ends_at, cut)
    VALUES (_id, _subject, _keys[1], _sealed[1], _tenant_id, _reason, _rule, _note, _setter_id, _set_by, _now,
            coalesce(_starts_at, _now), _ends_at, _cut);
    INSERT INTO agi_router.lock_mark (key, lock_id, subject, reason, tenant_id, sealed, starts_at, ends_at,
                                      cut)
    SELECT m.key, _id, _subject, _reason, _tenant_id, m.sealed, coalesce(_starts_at, _now), _ends_at, _cut
      FROM unnest(_keys, _sealed) m (key, sealed);
    PERFORM agi_router.count_seals(cardinality(array_remove(_sealed, NULL)));
    PERFORM agi_router.tell_lock(_id, 'lock.set');
END
$$;
COMMENT ON FUNCTION agi_router.set_lock IS 'Sets a lock, under these keys. _block: of what is locked, or null; _keys, _sealed: of a person the tags and seals under every tag key, the current one first; _starts_at: null for now';
