-- More of the modes: a window for the last caller, ringing one after the other, numbers that
-- strangers may call (AX, AXE), a Y made on the first call, display and prompts per binding.
--
-- The look-up stays one row, the admission one statement. What is new costs the other modes two
-- comparisons with null.

ALTER TABLE agi_router.binding
    DROP CONSTRAINT binding_mode_check,
    ADD CONSTRAINT binding_mode_check CHECK (mode IN ('axb', 'axyb', 'gxb', 'gxyb', 'ax', 'axe')),
    DROP CONSTRAINT binding_callback_check,
    ADD CONSTRAINT binding_callback_check CHECK (callback IN ('default', 'last', 'all', 'sequence')),
    DROP CONSTRAINT binding_check2,
    ADD CONSTRAINT binding_callback_mode_check
        CHECK ((callback IS NOT NULL) = (mode IN ('gxb', 'gxyb', 'ax', 'axe'))),
    ADD COLUMN callback_window integer CHECK (callback_window > 0),
    ADD COLUMN display_a text CHECK (display_a IN ('number', 'anonymous')),
    ADD COLUMN display_b text CHECK (display_b IN ('number', 'anonymous')),
    ADD COLUMN prompts text CHECK (prompts ~ '^[a-z0-9][a-z0-9_-]{0,15}$'),
    ADD COLUMN extension text CHECK (extension ~ '^[0-9]{1,4}$'),
    ADD COLUMN open_number bigint CHECK (open_number / 10000 = block),
    ADD COLUMN y_ttl integer CHECK (y_ttl > 0),
    ADD COLUMN parent_id bigint,
    ADD FOREIGN KEY (block, parent_id) REFERENCES agi_router.binding (block, id),
    ADD CHECK (callback_window IS NULL OR callback = 'last'),
    ADD CHECK ((extension IS NOT NULL) = (mode = 'axe')),
    ADD CHECK ((open_number IS NOT NULL) = (mode IN ('ax', 'axe'))),
    ADD CHECK (mode = 'axyb' OR y_ttl IS NULL AND parent_id IS NULL);
-- Neither names a column that an admission or an end changes: those updates stay HOT.
CREATE INDEX binding_open ON agi_router.binding (block, open_number) WHERE open_number IS NOT NULL;
CREATE INDEX binding_parent ON agi_router.binding (block, parent_id) WHERE parent_id IS NOT NULL;
COMMENT ON COLUMN agi_router.binding.callback IS 'Who rings when a group, or whoever called A, is called back; null: the one other party';
COMMENT ON COLUMN agi_router.binding.callback_window IS 'Seconds for which the last caller is called back; null: as long as the binding lives';
COMMENT ON COLUMN agi_router.binding.display_a IS 'What side A sees when it is called: its 700 number (null too), or nobody''s';
COMMENT ON COLUMN agi_router.binding.display_b IS 'What side B sees when it is called: its 700 number (null too), or nobody''s';
COMMENT ON COLUMN agi_router.binding.prompts IS 'Set of prompts that its callers hear; null: those shipped';
COMMENT ON COLUMN agi_router.binding.extension IS 'AXE: the digits by which A is reached on X';
COMMENT ON COLUMN agi_router.binding.open_number IS 'AX, AXE: the X that strangers may call';
COMMENT ON COLUMN agi_router.binding.y_ttl IS 'AXYB whose Y is made on the first call: seconds that such a Y lives';
COMMENT ON COLUMN agi_router.binding.parent_id IS 'The binding whose call has made this one, for its Y; uses are counted there';

-- Until now the last caller was written over the default in callee. There it stays for the bindings
-- that live: who called last rings until the next call, as it did.
ALTER TABLE agi_router.route
    ALTER COLUMN shown DROP NOT NULL,
    ADD COLUMN last_callee bytea,
    ADD COLUMN last_at timestamptz,
    ADD COLUMN child_id bigint,
    ADD FOREIGN KEY (block, child_id) REFERENCES agi_router.binding (block, id),
    ADD CHECK ((last_callee IS NULL) = (last_at IS NULL));
ALTER TABLE agi_router.past_route ALTER COLUMN shown DROP NOT NULL;
-- For the foreign key: else each binding that is deleted would have all routes looked through.
CREATE INDEX route_child ON agi_router.route (block, child_id) WHERE child_id IS NOT NULL;
COMMENT ON COLUMN agi_router.route.caller_tag IS 'Keyed hash of number and caller, or of number and extension; 0: anyone';
COMMENT ON COLUMN agi_router.route.shown IS 'The 700 number that the callee is shown; null: to be made on the first call';
COMMENT ON COLUMN agi_router.route.callee IS 'Real numbers to ring, sealed, unless the last caller rings; null: nobody';
COMMENT ON COLUMN agi_router.route.caller IS 'A group''s member itself, sealed for the row of B; A itself where Y is made on the first call';
COMMENT ON COLUMN agi_router.route.last_callee IS 'Who called last, sealed for this row; where strangers may call, for tag 0 of the number';
COMMENT ON COLUMN agi_router.route.last_at IS 'When that was';
COMMENT ON COLUMN agi_router.route.child_id IS 'The child binding whose Y is dialled or shown; null: the numbers live as long as the binding';

-- A number that strangers may call

CREATE FUNCTION agi_router.check_alone() RETURNS trigger
-- Without statistics the planner would look for such bindings by reading all.
LANGUAGE plpgsql SET enable_seqscan = off AS $$
-- Nobody may be on an X of AX, and on one of AXE only others of AXE. Whoever adds routes holds the
-- block by its foreign key; a binding that strangers may call takes it whole, so that none of them
-- can miss the other. Without such bindings this is one look into an empty index.
BEGIN
    IF NOT EXISTS (SELECT FROM agi_router.binding WHERE open_number IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    PERFORM
       FROM agi_router.block k
      WHERE k.block IN (SELECT n.block
                          FROM fresh n
                          JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                         WHERE b.open_number IS NOT NULL)
      ORDER BY k.block
        FOR UPDATE;
    IF FOUND THEN
        -- One that is about to expire may just be extended: wait for it.
        PERFORM
           FROM agi_router.binding p
          WHERE (p.block, p.id) IN (SELECT o.block, o.binding_id
                                      FROM fresh n
                                      JOIN agi_router.route o ON o.block = n.block AND o.x_number = n.x_number)
            AND p.ended_at IS NULL
          ORDER BY p.block, p.id
            FOR NO KEY UPDATE;
    END IF;
    IF EXISTS (SELECT
                 FROM fresh n
                 JOIN agi_router.binding p ON p.block = n.block AND p.open_number = n.x_number AND p.id <> n.binding_id
                 JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                WHERE p.ended_at IS NULL AND p.expires_at > clock_timestamp()
                  AND NOT (p.mode = 'axe' AND b.mode = 'axe'))
       OR EXISTS (SELECT
                    FROM fresh n
                    JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                    JOIN agi_router.route o
                      ON o.block = n.block AND o.x_number = n.x_number AND o.binding_id <> n.binding_id
                    JOIN agi_router.binding p ON p.block = o.block AND p.id = o.binding_id
                   WHERE b.open_number IS NOT NULL
                     AND p.ended_at IS NULL AND p.expires_at > clock_timestamp()
                     AND NOT (p.mode = 'axe' AND b.mode = 'axe')) THEN
        RAISE unique_violation USING
            MESSAGE = 'a number that strangers may call is shared with nobody', CONSTRAINT = 'route_alone';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.check_alone IS 'Refuses a route on a number that another binding has for itself, and such a binding where others are';
CREATE TRIGGER route_alone AFTER INSERT ON agi_router.route
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION agi_router.check_alone();

-- A Y made on the first call

CREATE FUNCTION agi_router.add_child(
    _block bigint, _parent_id bigint, _x_number bigint, _y_number bigint, _y_tag bigint, _y_callee bytea)
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
             WHERE r.block = _block AND r.x_number = _y_number AND r.caller_tag = _y_tag))
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
    INSERT INTO agi_router.binding VALUES (made.*);
    PERFORM agi_router.add_routes(
        _block, _parent_id, ARRAY[_y_number], ARRAY[_y_tag], ARRAY[_x_number], ARRAY['b'],
        ARRAY[_y_callee], ARRAY[NULL::bytea]);
    UPDATE agi_router.route
       SET child_id = made.id
     WHERE block = _block AND x_number = _y_number AND caller_tag = _y_tag;
    UPDATE agi_router.route
       SET shown = _y_number, child_id = made.id
     WHERE block = _block AND binding_id = _parent_id AND side = 'a';
    RETURN true;
END
$$;
COMMENT ON FUNCTION agi_router.add_child IS 'Makes the Y of a binding that has none: a child binding with its own life. False where another call has just made it, or the parent is over; route_pkey is violated where the Y is taken';

CREATE FUNCTION agi_router.end_children() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agi_router.binding c
       SET state = NEW.state, ended_at = NEW.ended_at
     WHERE c.block = NEW.block AND c.parent_id = NEW.id AND c.ended_at IS NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.end_children IS 'Ends the children of a binding with it';
CREATE TRIGGER binding_end AFTER UPDATE OF ended_at ON agi_router.binding
    FOR EACH ROW WHEN (NEW.y_ttl IS NOT NULL AND NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL)
    EXECUTE FUNCTION agi_router.end_children();

-- Admission

DROP FUNCTION agi_router.admit;
DROP FUNCTION agi_router.find_facts;
DROP TYPE agi_router.facts;
CREATE TYPE agi_router.facts AS (
    admitted          boolean,
    now               timestamptz,
    block_known       boolean,
    certificate_valid boolean,
    x_bound           boolean,
    x_extended        boolean,
    binding_id        bigint,
    mode              text,
    side              text,
    caller_tag        bigint,
    callee            bytea,
    last_callee       bytea,
    last_at           timestamptz,
    shown             bigint,
    child_until       timestamptz,
    state             text,
    direction         text,
    begins_at         timestamptz,
    expires_at        timestamptz,
    ended_at          timestamptz,
    max_calls         integer,
    calls_used        integer,
    callback          text,
    callback_window   integer,
    display           text,
    ring_timeout      integer,
    max_duration      integer,
    language          text,
    prompts           text,
    tenant_active     boolean
);
COMMENT ON TYPE agi_router.facts IS 'What is known of one caller on one number at one moment; binding_id and what follows are null for a stranger';

CREATE FUNCTION agi_router.find_facts(_block bigint, _x_number bigint, _tags bigint[], _now timestamptz)
RETURNS agi_router.facts
LANGUAGE sql STABLE AS $$
    SELECT false,
           _now,
           k.block IS NOT NULL,
           coalesce(k.state <> 'returned' AND k.valid_from <= _now AND k.valid_until > _now, false),
           EXISTS (SELECT
                     FROM agi_router.route o
                     JOIN agi_router.binding p ON p.block = o.block AND p.id = o.binding_id
                    WHERE o.block = _block AND o.x_number = _x_number
                      AND p.ended_at IS NULL AND p.expires_at > _now),
           r.binding_id IS NULL
           AND EXISTS (SELECT
                         FROM agi_router.binding p
                        WHERE p.block = _block AND p.open_number = _x_number AND p.mode = 'axe'
                          AND p.ended_at IS NULL AND p.expires_at > _now),
           b.id, b.mode, r.side, r.caller_tag, r.callee, r.last_callee, r.last_at, r.shown,
           least(c.ended_at, c.expires_at),
           b.state, b.direction, b.begins_at, b.expires_at, b.ended_at, b.max_calls, b.calls_used,
           b.callback, b.callback_window, CASE r.side WHEN 'a' THEN b.display_b ELSE b.display_a END,
           b.ring_timeout, b.max_duration, b.language, b.prompts, t.active
      FROM (SELECT) one
      LEFT JOIN agi_router.block k ON k.block = _block
      LEFT JOIN LATERAL (
           SELECT o.*
             FROM agi_router.route o
            WHERE o.block = _block AND o.x_number = _x_number AND o.caller_tag = ANY (_tags)
            ORDER BY array_position(_tags, o.caller_tag)
            LIMIT 1) r ON true
      LEFT JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
      LEFT JOIN agi_router.binding c ON c.block = r.block AND c.id = r.child_id
      LEFT JOIN agi_router.tenant t ON t.id = b.tenant_id
$$;
COMMENT ON FUNCTION agi_router.find_facts IS 'The facts as they stand, nothing taken. _tags in order of preference';

CREATE FUNCTION agi_router.admit(_block bigint, _x_number bigint, _tags bigint[], _call_id text, _day date)
RETURNS agi_router.facts
LANGUAGE plpgsql AS $$
-- The guards below are those of agi_router/decision.py. Taking the use and checking it are one
-- UPDATE: a concurrent call waits for the row and checks the newest version.
DECLARE
    _now  timestamptz := clock_timestamp();
    facts agi_router.facts;
BEGIN
    UPDATE agi_router.binding b
       SET calls_used = b.calls_used + 1
      FROM (SELECT o.*
              FROM agi_router.route o
             WHERE o.block = _block AND o.x_number = _x_number AND o.caller_tag = ANY (_tags)
             ORDER BY array_position(_tags, o.caller_tag)
             LIMIT 1) r,
           agi_router.block k,
           agi_router.tenant t
     WHERE b.block = _block AND b.id = r.binding_id
       AND k.block = _block AND k.state <> 'returned' AND k.valid_from <= _now AND k.valid_until > _now
       AND t.id = b.tenant_id AND t.active
       AND b.ended_at IS NULL AND b.begins_at <= _now AND b.expires_at > _now
       AND (b.max_calls IS NULL OR b.calls_used < b.max_calls)
       AND (b.direction = 'both' OR b.direction = r.side)
       AND (r.callee IS NOT NULL
            OR r.last_callee IS NOT NULL
               AND (b.callback_window IS NULL OR r.last_at + make_interval(secs => b.callback_window) > _now))
       AND r.shown IS NOT NULL
       AND (r.child_id IS NULL
            OR EXISTS (SELECT
                         FROM agi_router.binding c
                        WHERE c.block = _block AND c.id = r.child_id
                          AND c.ended_at IS NULL AND c.expires_at > _now))
    RETURNING true, _now, true, true, true, false,
              b.id, b.mode, r.side, r.caller_tag, r.callee, r.last_callee, r.last_at, r.shown,
              CASE WHEN r.child_id IS NOT NULL
                   THEN (SELECT c.expires_at FROM agi_router.binding c WHERE c.block = _block AND c.id = r.child_id) END,
              b.state, b.direction, b.begins_at, b.expires_at, b.ended_at, b.max_calls, b.calls_used - 1,
              b.callback, b.callback_window, CASE r.side WHEN 'a' THEN b.display_b ELSE b.display_a END,
              b.ring_timeout, b.max_duration, b.language, b.prompts, true
         INTO facts;
    IF NOT FOUND THEN
        -- A retry may fail a guard for the use that it took itself, or for what has come since.
        IF EXISTS (SELECT
                     FROM agi_router.call c
                    WHERE c.block = _block AND c.id = _call_id AND c.day = _day) THEN
            RAISE unique_violation USING
                MESSAGE = 'the call was admitted or settled before', CONSTRAINT = 'call_pkey';
        END IF;
        RETURN agi_router.find_facts(_block, _x_number, _tags, _now);
    END IF;
    -- A call admitted or settled before collides here, and everything above is rolled back.
    INSERT INTO agi_router.call (block, id, day, x_number, binding_id, side, state, received_at)
    VALUES (_block, _call_id, _day, _x_number, facts.binding_id, facts.side, 'reserved', _now);
    IF facts.callback = 'last' AND facts.side = 'a' AND facts.mode IN ('gxb', 'gxyb') THEN
        -- The member who called last is the one whom B calls back.
        UPDATE agi_router.route back
           SET last_callee = member.caller, last_at = _now
          FROM agi_router.route member
         WHERE member.block = _block AND member.x_number = _x_number AND member.caller_tag = facts.caller_tag
           AND member.caller IS NOT NULL
           AND back.block = _block AND back.binding_id = facts.binding_id AND back.side = 'b'
           AND (facts.callback_window IS NOT NULL OR back.last_callee IS DISTINCT FROM member.caller);
    END IF;
    RETURN facts;
END
$$;
COMMENT ON FUNCTION agi_router.admit IS 'Takes one use of the binding behind (number, caller) and writes the call as reserved, if every guard holds; returns the facts either way';
