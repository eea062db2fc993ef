CREATE OR REPLACE FUNCTION agi_router.make_current(_kind text, _id integer, _fingerprint bytea)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agi_router.key SET state = 'old' WHERE kind = _kind AND state NOT IN ('retired', 'destroyed');
    -- A cell may not have heard of it yet.
    INSERT INTO agi_router.key AS k (kind, id, fingerprint, state, current_at, sealed_before)
    VALUES (_kind, _id, _fingerprint, 'current', statement_timestamp(), agi_router.seals_so_far())
        ON CONFLICT (kind, id) DO UPDATE
       SET state = EXCLUDED.state, current_at = EXCLUDED.current_at, sealed_before = EXCLUDED.sealed_before
     WHERE k.fingerprint = EXCLUDED.fingerprint;
    IF NOT FOUND THEN
        RAISE '% key % is another one here', _kind, _id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.make_current IS 'Has all write with this key of a kind from now on, and only read with the others; under lock_keys';
