CREATE OR REPLACE FUNCTION agi_router.assert_current_keys(_block bigint, _tag_key integer, _seal_key integer)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _rotated boolean;
BEGIN
    LOCK TABLE agi_router.key IN ROW SHARE MODE;
    -- A statement of its own: it looks anew, and so after the lock is there.
    SELECT f.rotated INTO _rotated FROM agi_router.find_key_faults(_tag_key, _seal_key) f;
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
