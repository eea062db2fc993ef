CREATE OR REPLACE FUNCTION agi_router.assert_current_keys(_block bigint, _tag_key integer, _seal_key integer)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _rotated boolean;
BEGIN
    LOCK TABLE agi_router.key IN ROW SHARE MODE;
    -- A statement of its own: it looks anew, and so after the lock is there. It finds a row only where something is
    -- wrong, which is half of what telling all rows costs. Nonces are random: see agi_router/keys/ring.py.
    SELECT k.id <> CASE k.kind WHEN 'tag' THEN _tag_key ELSE _seal_key END
      INTO _rotated
      FROM agi_router.key k
     WHERE k.state = 'current'
       AND (k.id <> CASE k.kind WHEN 'tag' THEN _tag_key ELSE _seal_key END
            OR k.kind = 'seal' AND agi_router.seals_so_far() - k.sealed_before >= 4294967296);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF _rotated THEN
        RAISE 'the keys were rotated' USING ERRCODE = 'AR001';
    END IF;
    RAISE 'the seal key is used up' USING ERRCODE = 'AR002';
END
$$;
COMMENT ON FUNCTION agi_router.assert_current_keys IS 'Makes sure that these are the current keys and may seal more, until the transaction ends; first in whatever writes tags or sealed values. _block: where these are written';
