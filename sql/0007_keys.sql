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

CREATE FUNCTION agi_router.under_keys(_block bigint, _tag_key integer, _seal_key integer) RETURNS bigint
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
    RETURN _block;
END
$$;
COMMENT ON FUNCTION agi_router.under_keys IS 'Returns the block where these are the current keys, until the transaction ends';

-- While there are several tag keys, a caller may be found on a number by any of its tags. A place is
-- what a new route takes; where it may be found is told as a number, a tag and the place's own number.

CREATE FUNCTION agi_router.clear_places(_block bigint, _x_number bigint[], _caller_tag bigint[]) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
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
COMMENT ON FUNCTION agi_router.clear_places IS 'Moves routes of ended bindings out of the way and returns the block; fails with route_pkey where a live binding holds one of the places, which the key of the table does not see under another tag';

CREATE FUNCTION agi_router.begins_otherwise(_sealed bytea, _headers bytea[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(_sealed FROM 1 FOR 3) <> ALL (_headers)
$$;
COMMENT ON FUNCTION agi_router.begins_otherwise IS 'Whether a sealed value has none of these headers; null for null';

DROP FUNCTION agi_router.bind;
DROP FUNCTION agi_router.find_rests;
DROP FUNCTION agi_router.add_child;

CREATE FUNCTION agi_router.find_rests(
    _block bigint, _binding_id bigint, _x_number bigint[], _caller_tag bigint[], _place integer[],
    _rest interval, _party_rest interval, _now timestamptz)
RETURNS TABLE (x_number bigint, caller_tag bigint, until timestamptz)
LANGUAGE plpgsql STABLE AS $$
-- A binding that has ended keeps others off: for _rest from its numbers, for _party_rest each of its
-- parties from the number it dialled. It does not keep off those who were all parties of it
-- themselves: on the same numbers they would meet nobody new.
BEGIN
    RETURN QUERY
    WITH place AS MATERIALIZED (
        SELECT p.x_number, p.caller_tag, p.place
          FROM unnest(_x_number, _caller_tag, _place) p (x_number, caller_tag, place)
    ), ended AS (
        SELECT n.x_number, NULL::bigint AS caller_tag, e.binding_id, e.ends_at + _rest AS until
          FROM (SELECT DISTINCT p.x_number FROM place p) n
         CROSS JOIN LATERAL (
               SELECT r.binding_id, r.ends_at
                 FROM agi_router.route r
                WHERE r.block = _block AND r.x_number = n.x_number
                  AND r.ends_at > _now - _rest AND r.ends_at <= _now
               UNION ALL
               SELECT r.binding_id, r.ends_at
                 FROM agi_router.past_route r
                WHERE r.block = _block AND r.x_number = n.x_number
                  AND r.ends_at > _now - _rest AND r.ends_at <= _now) e
        UNION ALL
        SELECT p.x_number, p.caller_tag, e.binding_id, e.ends_at + _party_rest
          FROM place p
         CROSS JOIN LATERAL (
               SELECT r.binding_id, r.ends_at
                 FROM agi_router.route r
                WHERE r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                  AND r.ends_at > _now - _party_rest AND r.ends_at <= _now
               UNION ALL
               SELECT r.binding_id, r.ends_at
                 FROM agi_router.past_route r
                WHERE r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                  AND r.ends_at > _now - _party_rest AND r.ends_at <= _now) e
    )
    SELECT e.x_number, e.caller_tag, max(e.until)
      FROM ended e
     WHERE e.binding_id IS DISTINCT FROM _binding_id
       AND EXISTS (
           SELECT
             FROM place w
            WHERE NOT EXISTS (
                  SELECT
                    FROM place p
                    JOIN agi_router.route r
                      ON r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                   WHERE p.place = w.place AND r.binding_id = e.binding_id)
              AND NOT EXISTS (
                  SELECT
                    FROM place p
                    JOIN agi_router.past_route r
                      ON r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                   WHERE p.place = w.place AND r.binding_id = e.binding_id))
     GROUP BY 1, 2;
END
$$;
COMMENT ON FUNCTION agi_router.find_rests IS 'Which of these places may not be taken yet, and until when; caller_tag is null where the number rests for all. Lines with one _place are one caller under several keys. _binding_id: to which the places are added, or null';

CREATE FUNCTION agi_router.bind(
    _block bigint, _terms jsonb, _rest interval, _party_rest interval, _x_number bigint[],
    _caller_tag bigint[], _shown bigint[], _side text[], _callee bytea[], _caller bytea[],
    _place_x bigint[], _place_tag bigint[], _place integer[])
RETURNS agi_router.binding
LANGUAGE plpgsql AS $$
DECLARE
    made agi_router.binding;
BEGIN
    -- What every new binding has; the terms say the rest.
    made := jsonb_populate_record(NULL::agi_router.binding, _terms);
    made.block := _block;
    made.id := nextval('agi_router.binding_id');
    made.calls_used := 0;
    made.calls_settled := 0;
    made.begins_at := now();
    made.state := 'active';
    PERFORM FROM agi_router.block k, agi_router.tenant t
      WHERE k.block = _block AND agi_router.why_closed(k, made.tenant_id, NULL, made.begins_at) IS NULL
        AND t.id = made.tenant_id AND t.active
        FOR KEY SHARE OF k; -- waits where the block is just being returned, and looks again
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM FROM agi_router.find_rests(
        _block, NULL, _place_x, _place_tag, _place, _rest, _party_rest, clock_timestamp());
    IF FOUND THEN
        RETURN NULL;
    END IF;
    IF cardinality(_place_tag) > cardinality(_caller_tag) THEN
        PERFORM agi_router.clear_places(_block, _place_x, _place_tag);
    END IF;
    INSERT INTO agi_router.binding VALUES (made.*);
    PERFORM agi_router.add_routes(_block, made.id, _x_number, _caller_tag, _shown, _side, _callee, _caller);
    RETURN made;
END
$$;
COMMENT ON FUNCTION agi_router.bind IS 'Makes a binding with its routes; _terms holds columns of binding by name, _place_x, _place_tag and _place where each of its callers may be found, under every key. Fails with route_pkey where a live binding holds one of the routes; null where the block is not open to the tenant or a number rests';

CREATE FUNCTION agi_router.add_child(
    _block bigint, _parent_id bigint, _x_number bigint, _y_number bigint, _y_tags bigint[],
    _y_callee bytea)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    parent agi_router.binding;
    made   agi_router.binding;
BEGIN
    -- The parent, and what is in the way of the new route, in the order of all who lock bindings.
    PERFORM
       FROM agi_router.binding b
      WHERE b.block = _block
        AND b.id = ANY (ARRAY(
            SELECT _parent_id
            UNION
            SELECT r.binding_id
              FROM agi_router.route r
             WHERE r.block = _block AND r.x_number = _y_number AND r.caller_tag = ANY (_y_tags)))
      ORDER BY b.id
        FOR NO KEY UPDATE;
    SELECT * INTO parent FROM agi_router.binding b WHERE b.block = _block AND b.id = _parent_id;
    IF NOT FOUND OR parent.ended_at IS NOT NULL OR parent.expires_at <= clock_timestamp()
       OR EXISTS (SELECT
                    FROM agi_router.route r
                    JOIN agi_router.binding c ON c.block = r.block AND c.id = r.child_id
                   WHERE r.block = _block AND r.binding_id = _parent_id AND r.side = 'a'
                     AND c.ended_at IS NULL AND c.expires_at > clock_timestamp()) THEN
        RETURN false;
    END IF;
    made := parent;
    made.id := nextval('agi_router.binding_id');
    made.parent_id := _parent_id;
    made.calls_used := 0;
    made.calls_settled := 0;
    made.pair_tag := NULL;
    made.max_calls := NULL;
    made.begins_at := clock_timestamp();
    made.expires_at := least(parent.expires_at, made.begins_at + make_interval(secs => parent.y_ttl));
    made.y_ttl := NULL;
    IF cardinality(_y_tags) > 1 THEN
        PERFORM agi_router.clear_places(_block, array_fill(_y_number, ARRAY[cardinality(_y_tags)]), _y_tags);
    END IF;
    INSERT INTO agi_router.binding VALUES (made.*);
    PERFORM agi_router.add_routes(
        _block, _parent_id, ARRAY[_y_number], ARRAY[_y_tags[1]], ARRAY[_x_number], ARRAY['b'],
        ARRAY[_y_callee], ARRAY[NULL::bytea]);
    UPDATE agi_router.route
       SET child_id = made.id
     WHERE block = _block AND x_number = _y_number AND caller_tag = _y_tags[1];
    UPDATE agi_router.route
       SET shown = _y_number, child_id = made.id
     WHERE block = _block AND binding_id = _parent_id AND side = 'a';
    RETURN true;
END
$$;
COMMENT ON FUNCTION agi_router.add_child IS 'Makes the Y of a binding that has none: a child binding with its own life. _y_tags: those of B under every key, the current one first. False where another call has just made it, or the parent is over; route_pkey is violated where the Y is taken';
