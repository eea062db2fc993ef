CREATE OR REPLACE FUNCTION agi_router.hold_link(
    _name text, _holder text, _node text, _for interval, _up boolean, _heard interval, _gone text)
RETURNS TABLE (held boolean, drained boolean, holder text)
LANGUAGE plpgsql AS $$
DECLARE
    now timestamptz := statement_timestamp();
BEGIN
    INSERT INTO agi_router.message_link AS l (name, holder, node, until, up_since, heard_at)
    VALUES (_name, _holder, _node, now + _for, CASE WHEN _up THEN now END, now - coalesce(_heard, '0'))
    ON CONFLICT (name) DO UPDATE
       SET holder = _holder, node = _node, until = now + _for,
           up_since = CASE WHEN _up THEN coalesce(CASE WHEN l.holder = _holder THEN l.up_since END, now) END,
           heard_at = greatest(l.heard_at, now - _heard)
     WHERE l.holder = _holder OR l.until < now OR l.holder = _gone;
    RETURN QUERY
    SELECT l.holder = _holder, l.drained, l.holder FROM agi_router.message_link l WHERE l.name = _name;
END
$$;
COMMENT ON FUNCTION agi_router.hold_link IS 'Takes or keeps a link for so long, unless another process has it that is not _gone; _heard: how long ago what the message centre has certainly heard was said, null: not known';
