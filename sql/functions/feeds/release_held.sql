CREATE OR REPLACE FUNCTION agi_router.release_held(
    _block bigint, _binding_id bigint, _version integer, _tags bigint[])
RETURNS TABLE (tenant_id integer, outcome text, at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    _now     timestamptz;
    _done    text := 'held';
    found_at record;
BEGIN
    SELECT b.tenant_id, b.version, b.state, b.expires_at
      INTO found_at
      FROM agi_router.binding b
     WHERE b.block = _block AND b.id = _binding_id
       FOR NO KEY UPDATE;
    -- It may end while whoever holds it is waited for: the clock is read after that.
    _now := clock_timestamp();
    IF found_at.state IS DISTINCT FROM 'held' OR found_at.expires_at <= _now THEN
        RETURN QUERY SELECT found_at.tenant_id, 'over', _now;
        RETURN;
    END IF;
    IF found_at.version <> _version THEN
        RETURN QUERY SELECT found_at.tenant_id, 'changed', _now;
        RETURN;
    END IF;
    DELETE FROM agi_router.binding_hold h
     WHERE h.block = _block AND h.binding_id = _binding_id AND (_tags IS NULL OR h.tag = ANY (_tags));
    IF NOT EXISTS (SELECT 1
                     FROM agi_router.binding_hold h
                    WHERE h.block = _block AND h.binding_id = _binding_id) THEN
        UPDATE agi_router.binding b
           SET state = 'active', version = b.version + 1
         WHERE b.block = _block AND (b.id = _binding_id OR b.parent_id = _binding_id) AND b.state = 'held';
        _done := 'released';
    END IF;
    RETURN QUERY SELECT found_at.tenant_id, _done, _now;
END
$$;
COMMENT ON FUNCTION agi_router.release_held IS 'Lets a binding ring again that waits to learn whose number a party has, as far as it waits for these tags; null: for anybody; _version null: whatever it is. Returns what became of it: released, held for another party still, over where it is not held, changed';
