CREATE OR REPLACE FUNCTION agi_router.keep_part(
    _block bigint, _tag_key integer, _seal_key integer, _same bytea, _number integer, _total integer,
    _content bytea, _sealed bytea)
RETURNS TABLE (known boolean, number integer, sealed bytea)
LANGUAGE plpgsql AS $$
DECLARE
    had agi_router.message_part;
BEGIN
    PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    -- Parts come at once, and whoever brings the last one must see the others.
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(_same, 'hex'), 0));
    SELECT * INTO had FROM agi_router.message_part p WHERE p.block = _block AND p.same = _same AND p.number = _number;
    IF had.content IS NOT DISTINCT FROM _content AND had.sealed IS NULL THEN
        RETURN QUERY SELECT true, _number, NULL::bytea;
        RETURN;
    END IF;
    IF had.content IS NOT DISTINCT FROM _content THEN
        -- Its text is asked for again: none of its parts is given up meanwhile.
        UPDATE agi_router.message_part p SET at = statement_timestamp() WHERE p.block = _block AND p.same = _same;
    ELSE
        IF had.content IS NOT NULL THEN
            -- The phone has begun to count its texts anew: what was there is of another one.
            DELETE FROM agi_router.message_part p WHERE p.block = _block AND p.same = _same;
        END IF;
        INSERT INTO agi_router.message_part (block, same, number, content, sealed, at)
        VALUES (_block, _same, _number, _content,
                -- Of a text that was refused by another part nobody wants to know what it says.
                CASE WHEN NOT EXISTS (SELECT 1
                                        FROM agi_router.message_part p
                                       WHERE p.block = _block AND p.same = _same AND p.sealed IS NULL)
                     THEN _sealed
                END,
                statement_timestamp());
        PERFORM agi_router.count_seals(1);
    END IF;
    RETURN QUERY
    SELECT had.content IS NOT DISTINCT FROM _content, p.number, p.sealed
      FROM agi_router.message_part p
     WHERE p.block = _block AND p.same = _same
     ORDER BY p.number;
END
$$;
COMMENT ON FUNCTION agi_router.keep_part IS 'Keeps a part of a text, and returns all that are there; one row without what it says where its text was taken or refused before. known: whether it came before';
