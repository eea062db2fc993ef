-- The inventory: numbers that rest and remember, blocks of tenants, bindings that end by their count.
--
-- A route knows when it ends, so that "does X rest" and "how many live on X" are one look at an index.
-- Calls are judged by the binding alone. The trigger below keeps the two the same, whatever ends a
-- binding; taking and giving back uses does not wake it.

ALTER TABLE agi_router.binding
    DROP CONSTRAINT binding_state_check,
    ADD CONSTRAINT binding_state_check
        CHECK (state IN ('active', 'expired', 'unbound', 'order_ended', 'used_up')),
    ADD COLUMN calls_settled integer NOT NULL DEFAULT 0 CHECK (calls_settled >= 0),
    ADD COLUMN pair_tag bigint;
COMMENT ON COLUMN agi_router.binding.calls_settled IS 'Uses that will not come back; kept only where max_calls is set';
COMMENT ON COLUMN agi_router.binding.pair_tag IS 'Keyed hash of all its parties; null unless they asked for the same number again';
-- The newest and the number of those that live, and what the clock has ended: without looking at the rest.
CREATE INDEX binding_alive ON agi_router.binding (block, id) INCLUDE (expires_at) WHERE ended_at IS NULL;
CREATE INDEX binding_expiry ON agi_router.binding (expires_at) WHERE ended_at IS NULL;
CREATE INDEX binding_pair ON agi_router.binding (pair_tag, begins_at) WHERE pair_tag IS NOT NULL;

UPDATE agi_router.binding b
   SET calls_settled = b.calls_used - coalesce(open.calls, 0)
  FROM agi_router.binding own
  LEFT JOIN (SELECT c.block, c.binding_id, count(*) AS calls
               FROM agi_router.call c
              WHERE c.state = 'reserved'
              GROUP BY 1, 2) open ON open.block = own.block AND open.binding_id = own.id
 WHERE b.block = own.block AND b.id = own.id AND b.max_calls IS NOT NULL AND b.calls_used > 0;

ALTER TABLE agi_router.route
    ADD COLUMN begins_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN ends_at timestamptz;
ALTER TABLE agi_router.past_route ADD COLUMN begins_at timestamptz, ADD COLUMN ends_at timestamptz;
UPDATE agi_router.route r
   SET begins_at = b.begins_at, ends_at = coalesce(b.ended_at, b.expires_at)
  FROM agi_router.binding b
 WHERE b.block = r.block AND b.id = r.binding_id;
UPDATE agi_router.past_route r
   SET begins_at = b.begins_at,
       ends_at = CASE WHEN r.left_group THEN r.removed_at ELSE coalesce(b.ended_at, b.expires_at) END
  FROM agi_router.binding b
 WHERE b.block = r.block AND b.id = r.binding_id;
ALTER TABLE agi_router.route ALTER COLUMN ends_at SET NOT NULL;
ALTER TABLE agi_router.past_route ALTER COLUMN begins_at SET NOT NULL, ALTER COLUMN ends_at SET NOT NULL;
CREATE INDEX route_end ON agi_router.route (block, x_number, ends_at) INCLUDE (begins_at);
CREATE INDEX past_route_end ON agi_router.past_route (block, x_number, ends_at) INCLUDE (begins_at);
COMMENT ON TABLE agi_router.past_route IS 'Routes taken out of use: of ended bindings whose place was taken or whose rest is over, and of members who left';
COMMENT ON COLUMN agi_router.route.begins_at IS 'When its party was let onto the number';
COMMENT ON COLUMN agi_router.route.ends_at IS 'When its binding ended, or will end by time; of no matter to calls';
COMMENT ON COLUMN agi_router.past_route.begins_at IS 'When its party was let onto the number';
COMMENT ON COLUMN agi_router.past_route.ends_at IS 'When its binding ended, or its party left';

CREATE FUNCTION agi_router.why_closed(k agi_router.block, _tenant_id integer, _digit integer, _now timestamptz)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN k.state <> 'active' THEN k.state
                WHEN k.valid_from > _now OR k.valid_until <= _now THEN 'uncertified'
                WHEN k.tenant_id <> _tenant_id THEN 'kept'
                WHEN k.block / 10000000 % 10 <> _digit THEN 'digit' END
$$;
COMMENT ON FUNCTION agi_router.why_closed IS 'What keeps new bindings of a tenant out of a block; null: nothing. _digit: the operator digit asked for, or null for any';

CREATE FUNCTION agi_router.keep_route_ends() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agi_router.route
       SET ends_at = coalesce(NEW.ended_at, NEW.expires_at)
     WHERE block = NEW.block AND binding_id = NEW.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.keep_route_ends IS 'Tells the routes of a binding when it ends';
CREATE TRIGGER keep_route_ends
    AFTER UPDATE OF expires_at, ended_at ON agi_router.binding FOR EACH ROW
    WHEN (coalesce(NEW.ended_at, NEW.expires_at) <> coalesce(OLD.ended_at, OLD.expires_at))
    EXECUTE FUNCTION agi_router.keep_route_ends();

CREATE OR REPLACE FUNCTION agi_router.make_room(_block bigint, _x_number bigint[], _caller_tag bigint[]) RETURNS void
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
    INSERT INTO agi_router.past_route (block, x_number, caller_tag, binding_id, shown, side, callee, caller,
                                       begins_at, ends_at)
    SELECT block, x_number, caller_tag, binding_id, shown, side, callee, caller, begins_at, ends_at
      FROM gone;
END
$$;

CREATE OR REPLACE FUNCTION agi_router.add_routes(
    _block bigint, _binding_id bigint, _x_number bigint[], _caller_tag bigint[], _shown bigint[],
    _side text[], _callee bytea[], _caller bytea[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.make_room(_block, _x_number, _caller_tag);
    INSERT INTO agi_router.route (block, binding_id, x_number, caller_tag, shown, side, callee, caller,
                                  begins_at, ends_at)
    SELECT _block, _binding_id, n.*, clock_timestamp(), b.expires_at
      FROM unnest(_x_number, _caller_tag, _shown, _side, _callee, _caller) n (x_number, caller_tag, a, b, c, d)
      JOIN agi_router.binding b ON b.block = _block AND b.id = _binding_id
     ORDER BY n.x_number, n.caller_tag; -- one order for all, or two binds of the same parties could deadlock
END
$$;

CREATE FUNCTION agi_router.find_rests(
    _block bigint, _binding_id bigint, _x_number bigint[], _caller_tag bigint[],
    _rest interval, _party_rest interval, _now timestamptz)
RETURNS TABLE (x_number bigint, caller_tag bigint, until timestamptz)
LANGUAGE plpgsql STABLE AS $$
-- A binding that has ended keeps others off: for _rest from its numbers, for _party_rest each of its
-- parties from the number it dialled. It does not keep off those who were all parties of it
-- themselves: on the same numbers they would meet nobody new.
BEGIN
    RETURN QUERY
    WITH place AS MATERIALIZED (
        SELECT p.x_number, p.caller_tag FROM unnest(_x_number, _caller_tag) p (x_number, caller_tag)
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
             FROM place p
            WHERE NOT EXISTS (
                  SELECT FROM agi_router.route r
                   WHERE r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                     AND r.binding_id = e.binding_id)
              AND NOT EXISTS (
                  SELECT FROM agi_router.past_route r
                   WHERE r.block = _block AND r.x_number = p.x_number AND r.caller_tag = p.caller_tag
                     AND r.binding_id = e.binding_id))
     GROUP BY 1, 2;
END
$$;
COMMENT ON FUNCTION agi_router.find_rests IS 'Which of these places may not be taken yet, and until when; caller_tag is null where the number rests for all. _binding_id: to which the places are added, or null';

DROP FUNCTION agi_router.bind;
CREATE FUNCTION agi_router.bind(
    _block bigint, _terms jsonb, _rest interval, _party_rest interval, _x_number bigint[],
    _caller_tag bigint[], _shown bigint[], _side text[], _callee bytea[], _caller bytea[])
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
        _block, NULL, _x_number, _caller_tag, _rest, _party_rest, clock_timestamp());
    IF FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO agi_router.binding VALUES (made.*);
    PERFORM agi_router.add_routes(_block, made.id, _x_number, _caller_tag, _shown, _side, _callee, _caller);
    RETURN made;
END
$$;
COMMENT ON FUNCTION agi_router.bind IS 'Makes a binding with its routes; _terms holds columns of binding by name. Fails with route_pkey where a live binding holds one of the routes; null where the block is not open to the tenant or a number rests';

CREATE FUNCTION agi_router.survey_block(_block bigint, _rest interval, _now timestamptz)
RETURNS TABLE (x_number bigint, bound boolean, rests_until timestamptz)
LANGUAGE plpgsql STABLE SET jit = off AS $$
BEGIN
    RETURN QUERY
    SELECT n.x,
           -- Scalar, not EXISTS: that could be answered by reading the whole block.
           (SELECT true FROM agi_router.route r
             WHERE r.block = _block AND r.x_number = n.x AND r.ends_at > _now LIMIT 1) IS NOT NULL,
           greatest(
               (SELECT r.ends_at FROM agi_router.route r
                 WHERE r.block = _block AND r.x_number = n.x
                   AND r.ends_at > _now - _rest AND r.ends_at <= _now
                 ORDER BY r.ends_at DESC LIMIT 1),
               (SELECT r.ends_at FROM agi_router.past_route r
                 WHERE r.block = _block AND r.x_number = n.x
                   AND r.ends_at > _now - _rest AND r.ends_at <= _now
                 ORDER BY r.ends_at DESC LIMIT 1)) + _rest
      FROM generate_series(_block * 10000, _block * 10000 + 9999) n (x);
END
$$;
COMMENT ON FUNCTION agi_router.survey_block IS 'Every number of a block: whether anybody is bound on it, and until when it rests; null: it does not';

CREATE FUNCTION agi_router.count_held(_block bigint, _rest interval, _at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET jit = off AS $$
BEGIN
    RETURN (
        SELECT count(*)
          FROM generate_series(_block * 10000, _block * 10000 + 9999) n (x)
         WHERE (SELECT true FROM agi_router.route r
                 WHERE r.block = _block AND r.x_number = n.x
                   AND r.ends_at > _at - _rest AND r.begins_at <= _at LIMIT 1)
            OR (SELECT true FROM agi_router.past_route r
                 WHERE r.block = _block AND r.x_number = n.x
                   AND r.ends_at > _at - _rest AND r.begins_at <= _at LIMIT 1));
END
$$;
COMMENT ON FUNCTION agi_router.count_held IS 'How many numbers of a block were bound or resting at a time';

CREATE FUNCTION agi_router.drop_call_day(before date) RETURNS date
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
-- Calls wait while this waits for its lock, so it does not wait long. One at a time, for the same reason.
DECLARE
    oldest date;
BEGIN
    SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD'))
      INTO oldest
      FROM pg_catalog.pg_inherits i
      JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'agi_router.call'::regclass AND c.relname ~ '^call_[0-9]{8}$';
    IF oldest IS NULL OR oldest >= before THEN
        RETURN NULL;
    END IF;
    EXECUTE format('DROP TABLE agi_router.call_%s', to_char(oldest, 'YYYYMMDD'));
    RETURN oldest;
EXCEPTION
    WHEN lock_not_available THEN
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.drop_call_day IS 'Drops the oldest partition of call if its day is before this one, and returns the day; null: nothing to drop, or no lock to be had now';
