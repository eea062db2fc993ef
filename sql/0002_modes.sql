-- Modes with two numbers and with groups: AXYB, GXB, GXYB.
--
-- Nothing of this is on the hot path of AXB: a row still says whom to ring and what to show. The
-- sealed callee may now hold several numbers, or be null where nobody is to ring.

ALTER TABLE agi_router.binding
    DROP CONSTRAINT binding_mode_check,
    ADD CONSTRAINT binding_mode_check CHECK (mode IN ('axb', 'axyb', 'gxb', 'gxyb')),
    ADD COLUMN callback text CHECK (callback IN ('default', 'last', 'all')),
    ADD CHECK ((callback IS NOT NULL) = (mode IN ('gxb', 'gxyb')));
COMMENT ON COLUMN agi_router.binding.callback IS 'Who rings when B calls the group; null: no group';

ALTER TABLE agi_router.route ALTER COLUMN callee DROP NOT NULL, ADD COLUMN caller bytea;
ALTER TABLE agi_router.past_route
    ALTER COLUMN callee DROP NOT NULL,
    ADD COLUMN caller bytea,
    ADD COLUMN left_group boolean NOT NULL DEFAULT false,
    ADD COLUMN removed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A member may leave a group more than once.
    DROP CONSTRAINT past_route_pkey,
    ADD PRIMARY KEY (block, x_number, caller_tag, binding_id, removed_at);
COMMENT ON TABLE agi_router.past_route IS 'Routes taken out of use: of ended bindings whose place was taken, and of members who left';
COMMENT ON COLUMN agi_router.past_route.left_group IS 'Whether it is of a member who left while the binding lived';
COMMENT ON COLUMN agi_router.past_route.removed_at IS 'When it was taken out of route';
COMMENT ON COLUMN agi_router.route.callee IS 'Real numbers to ring, sealed; null: nobody is to ring';
COMMENT ON COLUMN agi_router.route.caller IS 'A group''s member itself, sealed for the row of B; null in modes without a group';
COMMENT ON COLUMN agi_router.past_route.callee IS 'Real numbers to ring, sealed; null: nobody is to ring';
COMMENT ON COLUMN agi_router.past_route.caller IS 'A group''s member itself, sealed for the row of B; null in modes without a group';

CREATE FUNCTION agi_router.make_room(_block bigint, _x_number bigint[], _caller_tag bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
-- A route whose binding is over makes room and goes to past_route; one whose binding lives stays.
-- A binding that has expired is first marked so: that takes its row lock, so it cannot be extended
-- at the same moment. Rows are locked in one order for all, or two that make room at once, or one
-- and a settlement, could wait for each other in a circle.
BEGIN
    UPDATE agi_router.binding b
       SET state = 'expired', ended_at = b.expires_at
      FROM (SELECT o.id
              FROM agi_router.binding o
             WHERE o.block = _block AND o.ended_at IS NULL AND o.expires_at <= clock_timestamp()
               AND o.id = ANY (ARRAY(
                   SELECT r.binding_id
                     FROM unnest(_x_number, _caller_tag) n (x_number, caller_tag)
                     JOIN agi_router.route r
                       ON r.block = _block AND r.x_number = n.x_number AND r.caller_tag = n.caller_tag))
             ORDER BY o.id
               FOR NO KEY UPDATE) over
     WHERE b.block = _block AND b.id = over.id;
    WITH gone AS (
        DELETE FROM agi_router.route r
         USING (SELECT o.x_number, o.caller_tag
                  FROM unnest(_x_number, _caller_tag) n (x_number, caller_tag)
                  JOIN agi_router.route o
                    ON o.block = _block AND o.x_number = n.x_number AND o.caller_tag = n.caller_tag
                  JOIN agi_router.binding b ON b.block = o.block AND b.id = o.binding_id
                 WHERE b.ended_at IS NOT NULL
                 ORDER BY o.x_number, o.caller_tag
                   FOR UPDATE OF o) old
         WHERE r.block = _block AND r.x_number = old.x_number AND r.caller_tag = old.caller_tag
        RETURNING r.*)
    INSERT INTO agi_router.past_route (block, x_number, caller_tag, binding_id, shown, side, callee, caller)
    SELECT block, x_number, caller_tag, binding_id, shown, side, callee, caller FROM gone;
END
$$;
COMMENT ON FUNCTION agi_router.make_room IS 'Moves the routes of ended bindings out of the way of new ones';

CREATE FUNCTION agi_router.add_routes(
    _block bigint, _binding_id bigint, _x_number bigint[], _caller_tag bigint[], _shown bigint[],
    _side text[], _callee bytea[], _caller bytea[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.make_room(_block, _x_number, _caller_tag);
    INSERT INTO agi_router.route (block, binding_id, x_number, caller_tag, shown, side, callee, caller)
    SELECT _block, _binding_id, n.*
      FROM unnest(_x_number, _caller_tag, _shown, _side, _callee, _caller) n
     ORDER BY 3, 4; -- one order for all, or two binds of the same parties could deadlock
END
$$;
COMMENT ON FUNCTION agi_router.add_routes IS 'Adds routes to a binding; route_pkey is violated where a live binding holds one of them';

DROP FUNCTION agi_router.bind;
CREATE FUNCTION agi_router.bind(
    _block bigint, _tenant_id integer, _mode text, _callback text, _expires_at timestamptz, _max_calls integer,
    _counting text, _direction text, _ring_timeout integer, _max_duration integer, _language text,
    _order_id text, _x_number bigint[], _caller_tag bigint[], _shown bigint[], _side text[],
    _callee bytea[], _caller bytea[])
RETURNS agi_router.binding
LANGUAGE plpgsql AS $$
DECLARE
    made agi_router.binding;
BEGIN
    INSERT INTO agi_router.binding
           (block, tenant_id, mode, callback, expires_at, max_calls, counting, direction,
            ring_timeout, max_duration, language, order_id)
    SELECT k.block, _tenant_id, _mode, _callback, _expires_at, _max_calls, _counting, _direction,
           _ring_timeout, _max_duration, _language, _order_id
      FROM agi_router.block k
     WHERE k.block = _block AND k.state = 'active'
       FOR KEY SHARE OF k -- waits where the block is just being returned, and looks again
    RETURNING * INTO made;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM agi_router.add_routes(_block, made.id, _x_number, _caller_tag, _shown, _side, _callee, _caller);
    RETURN made;
END
$$;
COMMENT ON FUNCTION agi_router.bind IS 'Makes a binding with its routes; fails with route_pkey where a live binding holds one of them; null where the block is not active';

CREATE OR REPLACE FUNCTION agi_router.admit(_block bigint, _x_number bigint, _tags bigint[], _call_id text, _day date)
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
       AND r.callee IS NOT NULL
    RETURNING true, _now, true, true, true,
              b.id, b.mode, r.side, r.caller_tag, r.callee, r.shown,
              b.state, b.direction, b.begins_at, b.expires_at, b.ended_at,
              b.max_calls, b.calls_used - 1, b.ring_timeout, b.max_duration, b.language, true
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
    IF facts.side = 'a' AND facts.mode IN ('gxb', 'gxyb') THEN
        -- The member who called last is the one whom B calls back.
        UPDATE agi_router.route back
           SET callee = member.caller
          FROM agi_router.route member, agi_router.binding b
         WHERE b.block = _block AND b.id = facts.binding_id AND b.callback = 'last'
           AND member.block = _block AND member.x_number = _x_number AND member.caller_tag = facts.caller_tag
           AND back.block = _block AND back.binding_id = facts.binding_id AND back.side = 'b'
           AND back.callee IS DISTINCT FROM member.caller;
    END IF;
    RETURN facts;
END
$$;
