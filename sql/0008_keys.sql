-- Rotating keys while calls go on: which key is current is said here and nowhere else, so that all
-- programs change from one key to the next at one moment.
--
-- Who writes tags or sealed numbers says under which keys, in the transaction that writes
-- (under_keys), and holds the table in ROW SHARE mode until it ends. Who changes what is current
-- takes EXCLUSIVE mode, and so waits for all who write. Both are locks in memory: no row is written,
-- and reading (a dump, too) is never held up.

ALTER TABLE agi_router.key
    ADD COLUMN state text NOT NULL DEFAULT 'old' CHECK (state IN ('new', 'current', 'old', 'retired')),
    ADD COLUMN current_at timestamptz;
ALTER TABLE agi_router.key ALTER COLUMN state SET DEFAULT 'new';
CREATE UNIQUE INDEX key_current ON agi_router.key (kind) WHERE state = 'current';
COMMENT ON COLUMN agi_router.key.state IS 'new: known, not written with yet; current: written with; old: only read with; retired: no row needs it';
COMMENT ON COLUMN agi_router.key.current_at IS 'When it became the current one; null: not yet, or before this was noted';

CREATE FUNCTION agi_router.under_keys(
    _block bigint, _tag_key integer, _seal_key integer, _x_number bigint[], _caller_tag bigint[])
RETURNS bigint
LANGUAGE plpgsql AS $$
-- Statements of their own: each looks anew, and so after the lock is there.
BEGIN
    LOCK TABLE agi_router.key IN ROW SHARE MODE;
    IF EXISTS (SELECT
                 FROM agi_router.key k
                WHERE k.state = 'current'
                  AND k.id <> CASE k.kind WHEN 'tag' THEN _tag_key ELSE _seal_key END) THEN
        RAISE 'the keys were rotated' USING ERRCODE = 'AR001';
    END IF;
    IF cardinality(_caller_tag) > 0 THEN
        PERFORM agi_router.make_room(_block, _x_number, _caller_tag);
        IF EXISTS (SELECT
                     FROM unnest(_x_number, _caller_tag) n (x_number, caller_tag)
                     JOIN agi_router.route r
                       ON r.block = _block AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag) THEN
            RAISE unique_violation USING
                MESSAGE = 'a live binding holds one of the routes', CONSTRAINT = 'route_pkey';
        END IF;
    END IF;
    RETURN _block;
END
$$;
COMMENT ON FUNCTION agi_router.under_keys IS 'Returns the block where these are the current keys, until the transaction ends, and no live binding holds one of these routes; the tags are those of one caller under all keys';

CREATE FUNCTION agi_router.begins_otherwise(_sealed bytea, _headers bytea[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(_sealed FROM 1 FOR 3) <> ALL (_headers)
$$;
COMMENT ON FUNCTION agi_router.begins_otherwise IS 'Whether a sealed value has none of these headers; null for null';
