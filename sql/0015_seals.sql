-- Sealed values are bound to their binding, so its number is known before it is made; how many were
-- sealed is counted; and whoever has real numbers shown to him is written down first.

CREATE SEQUENCE agi_router.seals;
COMMENT ON SEQUENCE agi_router.seals IS 'How many values were sealed, by whatever key; it counts those too that were rolled back';

CREATE FUNCTION agi_router.seals_so_far() RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM agi_router.seals
$$;
COMMENT ON FUNCTION agi_router.seals_so_far IS 'How many values were sealed';

CREATE FUNCTION agi_router.count_seals(_count bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT nextval('agi_router.seals') FROM generate_series(1, _count)
$$;
COMMENT ON FUNCTION agi_router.count_seals IS 'Counts values that were sealed; nobody waits for anybody';

CREATE FUNCTION agi_router.count_new_seals() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.count_seals((SELECT count(callee) + count(caller) FROM fresh));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.count_new_seals IS 'Counts the sealed values of new routes';
-- Not on updates: an admission copies a sealed value, and pays for nothing here.
CREATE TRIGGER route_seals AFTER INSERT ON agi_router.route
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION agi_router.count_new_seals();

ALTER TABLE agi_router.key ADD COLUMN sealed_before bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN agi_router.key.sealed_before IS 'How many values had been sealed when it became the current one';

CREATE OR REPLACE FUNCTION agi_router.under_keys(_block bigint, _tag_key integer, _seal_key integer) RETURNS bigint
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
    -- Nonces are random: see agi_router/keys/ring.py.
    IF EXISTS (SELECT
                 FROM agi_router.key k
                WHERE k.kind = 'seal' AND k.state = 'current'
                  AND agi_router.seals_so_far() - k.sealed_before >= 4294967296) THEN
        RAISE 'the seal key is used up' USING ERRCODE = 'AR002';
    END IF;
    RETURN _block;
END
$$;
COMMENT ON FUNCTION agi_router.under_keys IS 'Returns the block where these are the current keys and may seal more, until the transaction ends';

CREATE OR REPLACE FUNCTION agi_router.bind(
    _block bigint, _terms jsonb, _rest interval, _party_rest interval, _x_number bigint[],
    _caller_tag bigint[], _shown bigint[], _side text[], _callee bytea[], _caller bytea[],
    _place_x bigint[], _place_tag bigint[], _place integer[])
RETURNS agi_router.binding
LANGUAGE plpgsql AS $$
DECLARE
    made agi_router.binding;
BEGIN
    -- What every new binding has; the terms say the rest, and its number, for which it was sealed.
    made := jsonb_populate_record(NULL::agi_router.binding, _terms);
    made.block := _block;
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
COMMENT ON FUNCTION agi_router.bind IS 'Makes a binding with its routes; _terms holds columns of binding by name, the id it was sealed for among them, _place_x, _place_tag and _place where each of its callers may be found, under every key. Fails with route_pkey where a live binding holds one of the routes; null where the block is not open to the tenant or a number rests';

DROP FUNCTION agi_router.add_child;
CREATE FUNCTION agi_router.add_child(
    _block bigint, _parent_id bigint, _x_number bigint, _x_tag bigint, _x_callee bytea,
    _x_caller bytea, _y_number bigint, _y_tags bigint[], _y_callee bytea)
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
    -- Its values are bound to what it shows: with the number they are others.
    UPDATE agi_router.route
       SET shown = _y_number, child_id = made.id, caller_tag = _x_tag, callee = _x_callee, caller = _x_caller
     WHERE block = _block AND binding_id = _parent_id AND side = 'a' AND x_number = _x_number;
    PERFORM agi_router.count_seals(2);
    RETURN true;
END
$$;
COMMENT ON FUNCTION agi_router.add_child IS 'Makes the Y of a binding that has none: a child binding with its own life. _x_…: the row of A as it is with the Y; _y_tags: the tags of B under every key, the current one first. False where another call has just made it, or the parent is over; route_pkey is violated where the Y is taken';

CREATE TABLE agi_router.audit (
    id            bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    uid           bigint      NOT NULL,
    name          text        NOT NULL,
    effective_uid bigint      NOT NULL,
    login_uid     bigint,
    claimed       text,
    host          text        NOT NULL,
    act           text        NOT NULL,
    subject       text        NOT NULL,
    reason        text
);
COMMENT ON TABLE agi_router.audit IS 'Who had real numbers shown to him: a row is written, and committed, before anything is shown';
COMMENT ON COLUMN agi_router.audit.id IS 'Key';
COMMENT ON COLUMN agi_router.audit.at IS 'When';
COMMENT ON COLUMN agi_router.audit.uid IS 'Real user id of the process';
COMMENT ON COLUMN agi_router.audit.name IS 'Name of that user on the host';
COMMENT ON COLUMN agi_router.audit.effective_uid IS 'Effective user id of the process';
COMMENT ON COLUMN agi_router.audit.login_uid IS 'Who had logged in, as the kernel keeps it; null: it does not tell';
COMMENT ON COLUMN agi_router.audit.claimed IS 'What SUDO_USER said: a hint, anybody can set it';
COMMENT ON COLUMN agi_router.audit.host IS 'Name of the host';
COMMENT ON COLUMN agi_router.audit.act IS 'The command';
COMMENT ON COLUMN agi_router.audit.subject IS 'What was asked for; never a real number';
COMMENT ON COLUMN agi_router.audit.reason IS 'Why, as the user said it';
