CREATE OR REPLACE FUNCTION agi_router.take_key_quota(_key text, _count integer)
RETURNS TABLE (most integer)
LANGUAGE plpgsql AS $$
-- A key has one row, which is held until the transaction ends: its binds go one by one, and so exactly.
DECLARE
    _today  CONSTANT date := (statement_timestamp() AT TIME ZONE 'UTC')::date;
    allowed integer;
    used    integer;
BEGIN
    SELECT k.max_binds INTO allowed FROM agi_router.api_key k WHERE k.id = _key AND k.max_binds IS NOT NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO agi_router.api_key_use AS u (key_id, day, binds)
    VALUES (_key, _today, _count)
        ON CONFLICT (key_id) DO UPDATE
       SET binds = CASE WHEN u.day = excluded.day THEN u.binds ELSE 0 END + excluded.binds,
           day = excluded.day
    RETURNING u.binds INTO used;
    IF used > allowed THEN
        most := allowed;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.take_key_quota IS 'Counts bindings that were just made in this transaction with an API key, where it has a quota. A row: they are more than it may make on a day, so the transaction has to be undone';
