-- What one would build without agi_router: numbers as they are, in tables of the same shape, with the same
-- guards and the same accounting. Functions, because PostgreSQL keeps their plans: func_odbc sends each
-- statement as text. The keys of what is loaded are added after the rows.

CREATE SCHEMA peer;

CREATE TABLE peer.tenant (id integer PRIMARY KEY, active boolean NOT NULL);
INSERT INTO peer.tenant VALUES (1, true);

CREATE TABLE peer.block (
    block       bigint PRIMARY KEY,
    state       text NOT NULL,
    valid_from  timestamptz NOT NULL,
    valid_until timestamptz NOT NULL
);

CREATE TABLE peer.binding (
    id           bigint NOT NULL,
    tenant_id    integer NOT NULL,
    direction    text NOT NULL,
    begins_at    timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    max_calls    integer,
    calls_used   integer NOT NULL,
    ring_timeout integer NOT NULL,
    max_duration integer NOT NULL
) WITH (fillfactor = 85);

CREATE TABLE peer.route (
    x_number   bigint NOT NULL,
    caller     bigint NOT NULL,
    callee     text NOT NULL,
    side       text NOT NULL,
    binding_id bigint NOT NULL
);

CREATE TABLE peer.call (
    id          text PRIMARY KEY,
    x_number    bigint NOT NULL,
    binding_id  bigint NOT NULL,
    side        text NOT NULL,
    state       text NOT NULL DEFAULT 'reserved',
    received_at timestamptz NOT NULL,
    ended_at    timestamptz,
    outcome     text,
    talk        integer
) WITH (fillfactor = 85);

CREATE TABLE peer.cdr (
    start       timestamptz,
    answer      timestamptz,
    "end"       timestamptz,
    duration    integer,
    billsec     integer,
    disposition text,
    dst         text,
    uniqueid    text
);

-- Takes a use and reserves the call, if every guard holds.
CREATE FUNCTION peer.admit(_x_number bigint, _caller bigint, _call_id text)
RETURNS TABLE (callee text, ring_timeout integer, max_duration integer)
LANGUAGE plpgsql AS $$
DECLARE
    _now        timestamptz := clock_timestamp();
    _binding_id bigint;
    _side       text;
BEGIN
    UPDATE peer.binding b
       SET calls_used = b.calls_used + 1
      FROM peer.route r, peer.block k, peer.tenant t
     WHERE r.x_number = _x_number AND r.caller = _caller
       AND b.id = r.binding_id
       AND k.block = _x_number / 10000
       AND k.state <> 'returned' AND k.valid_from <= _now AND k.valid_until > _now
       AND t.id = b.tenant_id AND t.active
       AND b.ended_at IS NULL AND b.begins_at <= _now AND b.expires_at > _now
       AND (b.max_calls IS NULL OR b.calls_used < b.max_calls)
       AND (b.direction = 'both' OR b.direction = r.side)
    RETURNING r.callee, b.ring_timeout, b.max_duration, b.id, r.side
         INTO callee, ring_timeout, max_duration, _binding_id, _side;
    IF FOUND THEN
        INSERT INTO peer.call (id, x_number, binding_id, side, received_at)
        VALUES (_call_id, _x_number, _binding_id, _side, _now);
        RETURN NEXT;
    END IF;
END
$$;

-- Settles the call of a record, once; a use comes back unless somebody answered.
CREATE FUNCTION peer.settle()
RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    _binding_id bigint;
BEGIN
    UPDATE peer.call
       SET state = 'settled', ended_at = NEW."end", outcome = NEW.disposition, talk = NEW.billsec
     WHERE id = NEW.uniqueid AND state = 'reserved'
    RETURNING binding_id
         INTO _binding_id;
    IF FOUND AND NEW.disposition <> 'ANSWERED' THEN
        UPDATE peer.binding
           SET calls_used = calls_used - 1
         WHERE id = _binding_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER settle AFTER INSERT ON peer.cdr
    FOR EACH ROW EXECUTE FUNCTION peer.settle();
