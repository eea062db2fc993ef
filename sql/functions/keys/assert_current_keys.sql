CREATE OR REPLACE FUNCTION agi_router.assert_current_keys(_block bigint, _tag_key integer, _seal_key integer)
RETURNS void
LANGUAGE plpgsql AS $$
-- Statements of their own: each looks anew, and so after the lock is there.
BEGIN
    LOCK TABLE agi_router.key IN ROW SHARE MODE;
    IF EXISTS (SELECT 1
                 FROM agi_router.key k
                WHERE k.state = 'current'
                  AND k.id <> CASE k.kind WHEN 'tag' THEN _tag_key ELSE _seal_key END) THEN
        RAISE 'the keys were rotated' USING ERRCODE = 'AR001';
    END IF;
    -- Nonces are random: see agi_router/keys/ring.py.
    IF EXISTS (SELECT 1
                 FROM agi_router.key k
                WHERE k.kind = 'seal' AND k.state = 'current'
                  AND agi_router.seals_so_far() - k.sealed_before >= 4294967296) THEN
        RAISE 'the seal key is used up' USING ERRCODE = 'AR002';
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.assert_current_keys IS 'Makes sure that these are the current keys and may seal more, until the transaction ends; first in whatever writes tags or sealed values. _block: where these are written';
