-- What makes an empty database of agi_router the global one of several cells: docs/operate-many.md.
--
-- A superuser runs it once, behind `agi-router db migrate`, then names the cells in agi_cells.cell and runs
-- agi_cells.compose(), which makes all else of them; and runs both again where another release has another one.

CREATE EXTENSION IF NOT EXISTS plproxy;
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SCHEMA IF NOT EXISTS agi_cells;
COMMENT ON SCHEMA agi_cells IS 'Which database holds which block, and how it is asked';
-- Whoever asks for a block needs to know where that is.
GRANT USAGE ON SCHEMA agi_cells TO PUBLIC;

CREATE TABLE IF NOT EXISTS agi_cells.cell (
    id       integer NOT NULL CONSTRAINT cell_pkey PRIMARY KEY
             -- Ids of bindings are shared out by it, and have to stay whole numbers in JSON.
             CONSTRAINT cell_id_check CHECK (id BETWEEN 0 AND 799),
    name     text    NOT NULL CONSTRAINT cell_name_key UNIQUE -- errors of PostgreSQL quote it
             CONSTRAINT cell_name_check CHECK (name ~ '^[a-z][a-z0-9-]{0,30}$'),
    host     text    NOT NULL,
    port     text    NOT NULL DEFAULT '5432'
             CONSTRAINT cell_port_check CHECK (port ~ '^[0-9]{1,5}(,[0-9]{1,5})*$'),
    dbname   text    NOT NULL,
    login    text    NOT NULL DEFAULT 'agi_router',
    open     boolean NOT NULL DEFAULT true,
    away     boolean NOT NULL DEFAULT false,
    slot     text
);
ALTER TABLE agi_cells.cell ADD COLUMN IF NOT EXISTS mover text NOT NULL DEFAULT 'agi_mover';
COMMENT ON TABLE agi_cells.cell IS 'The cells: each is a database of agi_router that has blocks of its own';
COMMENT ON COLUMN agi_cells.cell.id IS 'Its number: from 0 on, none left out, never changed';
COMMENT ON COLUMN agi_cells.cell.name IS 'What people call it';
COMMENT ON COLUMN agi_cells.cell.host IS 'Where its database is; of several hosts, with commas between them, the one that takes writes is asked';
COMMENT ON COLUMN agi_cells.cell.port IS 'Their port; or as many as there are hosts, with commas between them';
COMMENT ON COLUMN agi_cells.cell.dbname IS 'The name of its database';
COMMENT ON COLUMN agi_cells.cell.login IS 'The role that asks it: one with the rights of `agi-router db grant`. Its password is where libpq looks for it: in .pgpass of the account that PostgreSQL runs as';
COMMENT ON COLUMN agi_cells.cell.mover IS 'The role that moves blocks there: the one that agi_cells.become was told. Its password is in .pgpass, too';
COMMENT ON COLUMN agi_cells.cell.open IS 'Whether new blocks may come to it';
COMMENT ON COLUMN agi_cells.cell.away IS 'Whether an operator has said that it does not answer: lists go on without it, and say so';
COMMENT ON COLUMN agi_cells.cell.slot IS 'The slot here from which its subscription takes what is changed; NULL: agi_cell_ and its number';
GRANT SELECT ON agi_cells.cell TO PUBLIC;

CREATE OR REPLACE FUNCTION agi_cells.next_cell() RETURNS integer
LANGUAGE plpgsql AS $$
-- Volatile: of several blocks added by one statement the next is to see where the one before came to.
BEGIN
    RETURN (SELECT c.id
              FROM agi_cells.cell c
             WHERE c.open AND NOT c.away
             ORDER BY (SELECT count(*) FROM agi_router.block k WHERE k.cell = c.id), c.id
             LIMIT 1);
END
$$;
COMMENT ON FUNCTION agi_cells.next_cell IS 'The cell that a new block comes to: of those that are open, the one with the fewest';

-- Where a block is, which a publication for one cell can ask, too.
ALTER TABLE agi_router.block ADD COLUMN IF NOT EXISTS cell integer NOT NULL DEFAULT agi_cells.next_cell()
    CONSTRAINT block_cell_fkey REFERENCES agi_cells.cell;
COMMENT ON COLUMN agi_router.block.cell IS 'The cell that has it';
ALTER TABLE agi_router.block ADD COLUMN IF NOT EXISTS next_cell integer NOT NULL DEFAULT -1;
COMMENT ON COLUMN agi_router.block.next_cell IS 'While it is being moved, the other cell that has to do with it; else -1';
CREATE UNIQUE INDEX IF NOT EXISTS block_cell ON agi_router.block (block, cell, next_cell);
ALTER TABLE agi_router.block REPLICA IDENTITY USING INDEX block_cell;

CREATE TABLE IF NOT EXISTS agi_cells.move (
    block     bigint      NOT NULL CONSTRAINT move_pkey PRIMARY KEY
              CONSTRAINT move_block_fkey REFERENCES agi_router.block,
    from_cell integer     NOT NULL CONSTRAINT move_from_cell_fkey REFERENCES agi_cells.cell,
    to_cell   integer     NOT NULL CONSTRAINT move_to_cell_fkey REFERENCES agi_cells.cell,
    step      text        NOT NULL DEFAULT 'prepare',
    was       text        NOT NULL,
    begun_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    opened_at timestamptz,
    ended_at  timestamptz,
    late      boolean     NOT NULL DEFAULT false,
    tries     integer     NOT NULL DEFAULT 0,
    writers   text[],
    moved     bigint      NOT NULL DEFAULT 0,
    refused   bigint
);
ALTER TABLE agi_cells.move ADD COLUMN IF NOT EXISTS before integer;
COMMENT ON TABLE agi_cells.move IS 'Blocks that go, or last went, from one cell to another';
COMMENT ON COLUMN agi_cells.move.block IS 'The block';
COMMENT ON COLUMN agi_cells.move.from_cell IS 'Where it was';
COMMENT ON COLUMN agi_cells.move.to_cell IS 'Where it goes';
COMMENT ON COLUMN agi_cells.move.step IS 'What is to be done next; see agi_cells.take_step';
COMMENT ON COLUMN agi_cells.move.was IS 'The state that the block had, and is to have again';
COMMENT ON COLUMN agi_cells.move.begun_at IS 'When it began';
COMMENT ON COLUMN agi_cells.move.closed_at IS 'Since when no call was taken; null: calls are';
COMMENT ON COLUMN agi_cells.move.opened_at IS 'Since when the new cell takes calls; null: it does not yet';
COMMENT ON COLUMN agi_cells.move.ended_at IS 'When nothing was left to do; null: something is';
COMMENT ON COLUMN agi_cells.move.late IS 'Whether all calls have ended that were up, and only what has come since is looked for';
COMMENT ON COLUMN agi_cells.move.tries IS 'How often what was sent did not come as it went';
COMMENT ON COLUMN agi_cells.move.writers IS 'Transactions that may have looked at the block before it was closed; null: not asked yet';
COMMENT ON COLUMN agi_cells.move.moved IS 'How many rows have come';
COMMENT ON COLUMN agi_cells.move.refused IS 'How many calls were refused; null: not counted yet';
COMMENT ON COLUMN agi_cells.move.before IS 'The cell that it came from by the move before; null: none is known';

CREATE TABLE IF NOT EXISTS agi_cells.leftover (
    block bigint  NOT NULL CONSTRAINT leftover_block_fkey REFERENCES agi_router.block ON DELETE CASCADE,
    cell  integer NOT NULL CONSTRAINT leftover_cell_fkey REFERENCES agi_cells.cell ON DELETE CASCADE,
    CONSTRAINT leftover_pkey PRIMARY KEY (block, cell)
);
COMMENT ON TABLE agi_cells.leftover IS 'Where a move that was undone may have left rows, which nobody else has a use for: they are to be deleted';
COMMENT ON COLUMN agi_cells.leftover.block IS 'The block';
COMMENT ON COLUMN agi_cells.leftover.cell IS 'The cell that did not get it';

CREATE OR REPLACE FUNCTION agi_cells.hold_moves() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('agi_cells.move', 0));
    IF EXISTS (SELECT 1 FROM agi_cells.move m
                WHERE m.ended_at IS NULL AND m.closed_at IS NOT NULL AND (m.opened_at IS NULL OR m.step = 'share')) THEN
        RAISE 'a block is being moved, and what lives in it is in no list' USING ERRCODE = 'lock_not_available';
    END IF;
END
$$;
COMMENT ON FUNCTION agi_cells.hold_moves IS 'Fails for the seconds in which rows of a block are in no list; else none is closed on its way until the transaction ends';
CREATE OR REPLACE FUNCTION agi_router.hold_moves() RETURNS void
LANGUAGE sql AS $$
    SELECT agi_cells.hold_moves()
$$;

CREATE OR REPLACE FUNCTION agi_cells.cell_of_moving(_block bigint, _cell integer) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM agi_cells.move m
                WHERE m.block = _block AND m.ended_at IS NULL AND m.closed_at IS NOT NULL AND m.opened_at IS NULL) THEN
        RAISE 'the block is being moved' USING ERRCODE = 'lock_not_available';
    END IF;
    RETURN _cell;
END
$$;
COMMENT ON FUNCTION agi_cells.cell_of_moving IS 'The cell of a block that is being moved; fails for the seconds in which it is in none';

CREATE OR REPLACE FUNCTION agi_cells.cell_of(_block bigint) RETURNS SETOF integer
LANGUAGE sql STABLE AS $$
    -- One row. What returns a set is planned with the statement that asks it, once in a session.
    SELECT coalesce((SELECT CASE WHEN k.next_cell < 0 THEN k.cell ELSE agi_cells.cell_of_moving(_block, k.cell) END
                       FROM agi_router.block k
                      WHERE k.block = _block), 0)
$$;
COMMENT ON FUNCTION agi_cells.cell_of IS 'The cell that has a block; one that nobody has is asked for in cell 0, which has it as little';

CREATE OR REPLACE FUNCTION agi_cells.tables() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['binding', 'binding_hold', 'call', 'kept_call', 'kept_message', 'message', 'message_out',
                 'message_part', 'message_seen', 'past_route', 'recording', 'route']
$$;
COMMENT ON FUNCTION agi_cells.tables IS 'The tables whose rows are in the cells: those with a block in each row';

CREATE OR REPLACE FUNCTION agi_cells.here() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['add_to_blocklist', 'assert_current_keys', 'bind_asked', 'bind_asked_together', 'find_complained',
                 'find_complained_call', 'fit_rules', 'is_listed', 'is_moving', 'list_parties_then', 'list_traced',
                 'list_writers', 'note_rebind', 'refuse_locked',
                 'set_lock', 'step_move', 'tell', 'tell_binding', 'undo_move', 'why_closed']
$$;
COMMENT ON FUNCTION agi_cells.here IS 'The functions that are given a block and run in the global database all the same: what they read and write is there';

CREATE OR REPLACE FUNCTION agi_cells.joining() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    -- None that makes a binding: who comes to a number, and to a block that is being closed, waits for others and has to
    -- see what they did, which a transaction that is older than their end does not.
    SELECT ARRAY['add_routes', 'change', 'change_group_bindings', 'end_carried', 'end_withdrawn', 'evict_ended_routes', 'extend',
                 'hold_group_bindings', 'list_routes', 'release_held', 'replace_parties', 'retire_routes']
$$;
COMMENT ON FUNCTION agi_cells.joining IS 'The functions that run in cells and are asked in transactions of several statements, too';

CREATE OR REPLACE FUNCTION agi_cells.rotating() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['lock_imports', 'lock_keys', 'make_current']
$$;
COMMENT ON FUNCTION agi_cells.rotating IS 'The functions that agi_router.run_behind is asked for: keys are locked and become current here and in all cells by one transaction';

CREATE OR REPLACE FUNCTION agi_cells.binding() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['bind', 'bind_drawn']
$$;
COMMENT ON FUNCTION agi_cells.binding IS 'The functions that make bindings: what they look at may be changing here';

CREATE OR REPLACE FUNCTION agi_cells.aged() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['end_recycled', 'forget_recycled']
$$;
COMMENT ON FUNCTION agi_cells.aged IS 'The functions that ask since when somebody is a party: of what was carried over, another cell may know it';

CREATE OR REPLACE FUNCTION agi_cells.packed() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['admit', 'admit_message']
$$;
COMMENT ON FUNCTION agi_cells.packed IS 'The functions whose row comes from its cell as one text: each statement of PL/Proxy is parsed anew there, and names each column';

CREATE OR REPLACE FUNCTION agi_cells.twins() RETURNS SETOF text
LANGUAGE sql IMMUTABLE AS $$
    SELECT 'agi_cells_alone_' || name FROM unnest(agi_cells.joining() || agi_cells.packed() || agi_cells.binding() || agi_cells.aged()) j (name)
$$;
COMMENT ON FUNCTION agi_cells.twins IS 'What those are called that run by PL/Proxy behind one of ours; in agi_router, where those alone come who may ask them';

CREATE OR REPLACE FUNCTION agi_cells.is_away(_block bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1
                     FROM agi_router.block k
                     JOIN agi_cells.cell c ON c.id = k.cell
                    WHERE k.block = _block AND c.away)
$$;
COMMENT ON FUNCTION agi_cells.is_away IS 'Whether the cell of a block is away';

-- Where a number is chosen, a cell that is away is passed over. What a row of a block says is asked as ever.
CREATE OR REPLACE FUNCTION agi_cells.set_aside_why_closed() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1
                 FROM pg_catalog.pg_proc p
                WHERE p.oid = 'agi_router.why_closed'::regproc AND strpos(p.prosrc, 'agi_cells.why_closed') = 0) THEN
        PERFORM set_config('client_min_messages', 'error', true);
        DROP FUNCTION IF EXISTS agi_cells.why_closed;
        ALTER FUNCTION agi_router.why_closed SET SCHEMA agi_cells;
    END IF;
END
$$;
COMMENT ON FUNCTION agi_cells.set_aside_why_closed IS 'Makes room for the function of that name that asks the program''s';
SELECT agi_cells.set_aside_why_closed();
CREATE OR REPLACE FUNCTION agi_router.why_closed(
    _block bigint, _kept_for integer, _state text, _valid_from timestamptz, _valid_until timestamptz,
    _tenant_id integer, _digit integer, _now timestamptz, _pool bigint[] DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(agi_cells.why_closed(_block, _kept_for, _state, _valid_from, _valid_until, _tenant_id, _digit, _now, _pool),
                    CASE WHEN agi_cells.is_away(_block) THEN 'away' END)
$$;

CREATE OR REPLACE FUNCTION agi_router.list_missing() RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT c.name FROM agi_cells.cell c WHERE c.away ORDER BY c.name
$$;

CREATE OR REPLACE FUNCTION agi_router.list_cells() RETURNS TABLE (cell integer, name text, away boolean, blocks bigint[])
LANGUAGE sql STABLE AS $$
    SELECT c.id, c.name, c.away, ARRAY(SELECT k.block FROM agi_router.block k WHERE k.cell = c.id ORDER BY k.block)
      FROM agi_cells.cell c
$$;

CREATE TABLE IF NOT EXISTS agi_cells.beat (
    one boolean     NOT NULL DEFAULT true CONSTRAINT beat_pkey PRIMARY KEY CONSTRAINT beat_one_check CHECK (one),
    at  timestamptz NOT NULL,
    lsn pg_lsn      NOT NULL
);
COMMENT ON TABLE agi_cells.beat IS 'The last sign of life that was given to cells; it goes to them as all changes go';
COMMENT ON COLUMN agi_cells.beat.one IS 'There is one row';
COMMENT ON COLUMN agi_cells.beat.at IS 'When it was given';
COMMENT ON COLUMN agi_cells.beat.lsn IS 'Up to where the WAL went then: who has confirmed that much has all that was changed before';

CREATE TABLE IF NOT EXISTS agi_cells.heard (
    cell integer     NOT NULL CONSTRAINT heard_pkey PRIMARY KEY
         CONSTRAINT heard_cell_fkey REFERENCES agi_cells.cell ON DELETE CASCADE,
    at   timestamptz NOT NULL
);
COMMENT ON TABLE agi_cells.heard IS 'Up to when each cell has all that was changed here, as far as it was looked at';
COMMENT ON COLUMN agi_cells.heard.cell IS 'The cell';
COMMENT ON COLUMN agi_cells.heard.at IS 'What was changed until then has come there';

CREATE OR REPLACE FUNCTION agi_cells.look(_beat boolean)
RETURNS TABLE (name text, away boolean, follows boolean, unsent bigint, behind double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    _now  CONSTANT timestamptz := clock_timestamp();
    _told agi_cells.beat;
BEGIN
    IF _beat THEN
        -- Nobody needs it after a crash, and no look is to wait for a standby.
        PERFORM set_config('synchronous_commit', 'off', true);
        INSERT INTO agi_cells.beat (at, lsn) VALUES (_now, pg_current_wal_insert_lsn()) ON CONFLICT DO NOTHING;
        INSERT INTO agi_cells.heard (cell, at) SELECT c.id, _now FROM agi_cells.cell c ON CONFLICT DO NOTHING;
        -- Whoever comes while another is at it does not do it once more.
        SELECT * INTO _told FROM agi_cells.beat b FOR NO KEY UPDATE SKIP LOCKED;
        IF _told.at < _now - interval '10 seconds' THEN
            -- Nobody has looked meanwhile, so nothing is known of that time.
            UPDATE agi_cells.heard h SET at = _now;
        ELSIF _told.at < _now THEN
            UPDATE agi_cells.heard h
               SET at = _told.at
              FROM agi_cells.slots() s
             WHERE s.cell = h.cell AND s.confirmed >= _told.lsn AND h.at < _told.at;
        END IF;
        IF _told.at < _now - interval '0.9 seconds' THEN
            UPDATE agi_cells.beat b SET at = _now, lsn = pg_current_wal_insert_lsn();
        END IF;
    END IF;
    RETURN QUERY
    SELECT c.name, c.away, s.active, (pg_current_wal_lsn() - s.confirmed)::bigint,
           extract(epoch FROM _now - h.at)::double precision
      FROM agi_cells.cell c
      LEFT JOIN agi_cells.slots() s ON s.cell = c.id
      LEFT JOIN agi_cells.heard h ON h.cell = c.id;
END
$$;
REVOKE ALL ON FUNCTION agi_cells.look FROM PUBLIC;
COMMENT ON FUNCTION agi_cells.look IS 'Of each cell whether it follows (NULL: it has no slot), how many bytes of WAL it has not confirmed, and for how many seconds it has not had all; _beat: with a sign of life to all of them, without which nothing of that time is new';

CREATE OR REPLACE FUNCTION agi_cells.slots() RETURNS TABLE (cell integer, active boolean, confirmed pg_lsn)
LANGUAGE sql STABLE AS $$
    SELECT c.id, s.active, s.confirmed_flush_lsn
      FROM agi_cells.cell c
      JOIN pg_catalog.pg_replication_slots s
        ON s.slot_name = coalesce(c.slot, 'agi_cell_' || c.id) AND s.database = current_database()
$$;
COMMENT ON FUNCTION agi_cells.slots IS 'Of each cell that has a slot here, whether somebody follows it and how far that has come';

CREATE OR REPLACE FUNCTION agi_router.look_at_cells(_beat boolean)
RETURNS TABLE (name text, away boolean, follows boolean, unsent bigint, behind double precision)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT * FROM agi_cells.look(_beat)
$$;

CREATE TABLE IF NOT EXISTS agi_cells.self (
    number        integer,
    version       integer,
    migrations    text[],
    functions     text[],
    subscriptions integer,
    enabled       boolean,
    works         boolean,
    heard_ago     double precision,
    names         text,
    followers     bigint,
    waited_for    bigint,
    lag           interval,
    idle_slots    text[],
    lost_slots    text[]
);
ALTER TABLE agi_cells.self ADD COLUMN IF NOT EXISTS faults text[];
COMMENT ON TABLE agi_cells.self IS 'What cells say of themselves (the view of this name in sql/cells/cell.sql): each has a foreign table below this one';

CREATE OR REPLACE FUNCTION agi_cells.ask(_name text) RETURNS SETOF agi_cells.self
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    _cell integer;
BEGIN
    SELECT c.id INTO _cell FROM agi_cells.cell c WHERE c.name = _name;
    IF FOUND THEN
        RETURN QUERY EXECUTE format('SELECT * FROM agi_cells.%I', 'self_' || _cell);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION agi_cells.ask FROM PUBLIC;
COMMENT ON FUNCTION agi_cells.ask IS 'What one cell says of itself, if it answers';

CREATE OR REPLACE FUNCTION agi_router.look_at_cell(_name text)
RETURNS TABLE (number integer, version integer, migrations text[], functions text[], subscriptions integer, enabled boolean,
               works boolean, heard_ago double precision, names text, followers bigint, waited_for bigint, lag interval,
               idle_slots text[], lost_slots text[], faults text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT * FROM agi_cells.ask(_name)
$$;

CREATE OR REPLACE FUNCTION agi_cells.everywhere() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['end_order', 'forget_seen_messages']
$$;
COMMENT ON FUNCTION agi_cells.everywhere IS 'The functions that run in all cells: what they change may be in each';

CREATE OR REPLACE FUNCTION agi_cells.in_every() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['find_met', 'list_recycled', 'list_recycled_callers', 'list_recycled_past', 'list_recycled_texts', 'list_waiting']
$$;
COMMENT ON FUNCTION agi_cells.in_every IS 'The functions that run in all cells, and fail where one is away: nobody asks again what it would have said';

CREATE OR REPLACE FUNCTION agi_cells.present() RETURNS SETOF integer
LANGUAGE sql STABLE AS $$
    SELECT c.id FROM agi_cells.cell c WHERE NOT c.away
$$;
COMMENT ON FUNCTION agi_cells.present IS 'The cells that are asked: all but those that are away';

CREATE OR REPLACE FUNCTION agi_cells.all_present() RETURNS SETOF integer
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_cells.hold_moves();
    RETURN QUERY SELECT p FROM agi_cells.present() p;
END
$$;
COMMENT ON FUNCTION agi_cells.all_present IS 'The same, while each has all that is of its blocks; else it fails';

CREATE OR REPLACE FUNCTION agi_cells.every() RETURNS SETOF integer
LANGUAGE plpgsql AS $$
DECLARE
    -- As is said where one does not answer.
    gone CONSTANT text := (SELECT c.name FROM agi_cells.cell c WHERE c.away ORDER BY c.id LIMIT 1);
BEGIN
    IF gone IS NOT NULL THEN
        RAISE 'could not connect to server "agi_cell_%"', gone USING ERRCODE = 'sqlclient_unable_to_establish_sqlconnection';
    END IF;
    RETURN QUERY SELECT p FROM agi_cells.all_present() p;
END
$$;
COMMENT ON FUNCTION agi_cells.every IS 'All cells; fails where one is away';

-- Whoever rotates keys asks: one that is away may have routers that do not know the new ones.
CREATE OR REPLACE FUNCTION agi_router.list_routers_behind()
RETURNS TABLE (pid integer, application_name text, role text, address text, address_told boolean)
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells'; RUN ON agi_cells.every(); SELECT * FROM agi_router.list_routers(); $$;

-- Always in the same order.
CREATE OR REPLACE FUNCTION agi_router.run_behind(_name text, _given text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    _cell integer;
BEGIN
    FOR _cell IN SELECT e FROM agi_cells.every() e ORDER BY e LOOP
        PERFORM agi_router.agi_cells_run_in(_cell, _name, _given);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION agi_router.assert_whole() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_cells.every();
END
$$;

CREATE TABLE IF NOT EXISTS agi_cells.fetched (
    cell     integer     NOT NULL CONSTRAINT fetched_pkey PRIMARY KEY
             CONSTRAINT fetched_cell_fkey REFERENCES agi_cells.cell ON DELETE CASCADE,
    life     text        NOT NULL DEFAULT '',
    xid      xid8        NOT NULL DEFAULT '0',
    id       bigint      NOT NULL DEFAULT 0,
    day      date        NOT NULL DEFAULT '-infinity',
    retry_at timestamptz NOT NULL DEFAULT '-infinity'
);
ALTER TABLE agi_cells.fetched ADD COLUMN IF NOT EXISTS since timestamptz NOT NULL DEFAULT '-infinity';
COMMENT ON TABLE agi_cells.fetched IS 'Up to where events of each cell have come here';
COMMENT ON COLUMN agi_cells.fetched.cell IS 'The cell';
COMMENT ON COLUMN agi_cells.fetched.life IS 'Which server it was, and since which promotion: another one may give numbers of transactions again that are lost';
COMMENT ON COLUMN agi_cells.fetched.xid IS 'The transaction there that wrote the last event that has come';
COMMENT ON COLUMN agi_cells.fetched.id IS 'That event';
COMMENT ON COLUMN agi_cells.fetched.day IS 'Its day; no transaction that writes events takes longer than one';
COMMENT ON COLUMN agi_cells.fetched.retry_at IS 'It did not answer, and is not asked before';
COMMENT ON COLUMN agi_cells.fetched.since IS 'What was before is told to no webhook: deliverers of the cell may have told it';

CREATE OR REPLACE FUNCTION agi_cells.is_silent(_cell integer) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT EXISTS (SELECT 1 FROM agi_cells.cell c WHERE c.id = _cell AND c.away)
        OR EXISTS (SELECT 1 FROM agi_cells.fetched f WHERE f.cell = _cell AND f.retry_at > clock_timestamp())
$$;
COMMENT ON FUNCTION agi_cells.is_silent IS 'Whether a cell is away, or did not answer lately: events go on without it';

CREATE OR REPLACE FUNCTION agi_cells.list_told(_cell integer, _life text, _xid text, _id bigint, _day date, _limit integer)
RETURNS TABLE (
    life text, xid text, id bigint, day date, block bigint, binding_id bigint, tenant_id integer, sequence integer,
    at timestamptz, type text, data jsonb)
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.list_told IS 'Events of a cell behind one; see there';
CREATE OR REPLACE FUNCTION agi_cells.mark_expired(_cell integer, _limit integer) RETURNS integer
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells'; RUN ON _cell; SELECT agi_router.mark_expired(_limit); $$;
COMMENT ON FUNCTION agi_cells.mark_expired IS 'Marks bindings of a cell that the clock has ended';
CREATE OR REPLACE FUNCTION agi_cells.list_parties_then(_cell integer, _block bigint[], _id bigint[], _at timestamptz[])
RETURNS TABLE (
    place bigint, block bigint, binding_id bigint, x_number bigint, caller_tag bigint, shown bigint, side text,
    callee bytea, caller bytea, mode text, y_ttl integer, parent_id bigint)
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells'; RUN ON _cell; SELECT * FROM agi_router.list_parties_then(_block, _id, _at); $$;
COMMENT ON FUNCTION agi_cells.list_parties_then IS 'The parties of bindings of a cell as they were at some time';
CREATE OR REPLACE FUNCTION agi_cells.list_traced(_block bigint[], _id bigint[])
RETURNS TABLE (
    block bigint, id bigint, tenant_id integer, mode text, state text, begins_at timestamptz, expires_at timestamptz,
    ended_at timestamptz, order_id text, moments timestamptz[])
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells'; SPLIT _block, _id; RUN ON agi_cells.cell_of(_block); SELECT * FROM agi_router.list_traced(_block, _id); $$;
COMMENT ON FUNCTION agi_cells.list_traced IS 'Bindings of any cells with the times at which their parties may have changed';

CREATE OR REPLACE FUNCTION agi_cells.is_deleted(_since date) RETURNS SETOF boolean
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells'; RUN ON agi_cells.present(); SELECT agi_router.is_deleted(_since); $$;
COMMENT ON FUNCTION agi_cells.is_deleted IS 'Of each cell whether something of a day or of a later one was deleted there';

CREATE OR REPLACE FUNCTION agi_cells.may_read() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT has_table_privilege(session_user, 'agi_router.route', 'SELECT') THEN
        RAISE 'permission denied for table route' USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
COMMENT ON FUNCTION agi_cells.may_read IS 'Fails where whoever is logged in may not read who is bound: roles that deliver and export may, and ask a cell for nothing else';

CREATE OR REPLACE FUNCTION agi_cells.fetch(_cell integer, _limit integer) RETURNS void
LANGUAGE plpgsql AS $$
-- What has come, how far that is, and what is owed of it are one transaction here; the cell keeps what it has. So each
-- comes once, whoever dies. Here it is as young as what is written here now: whoever pulls finds it behind all before.
DECLARE
    since agi_cells.fetched;
    other bigint;
BEGIN
    SELECT * INTO STRICT since FROM agi_cells.fetched f WHERE f.cell = _cell;
    WITH come AS MATERIALIZED (
        SELECT * FROM agi_cells.list_told(_cell, since.life, since.xid::text, since.id, since.day, _limit)
    ), written AS (
        INSERT INTO agi_router.event (id, day, block, binding_id, tenant_id, sequence, at, type, data)
        SELECT c.id, c.day, c.block, c.binding_id, c.tenant_id, c.sequence, c.at, c.type, c.data
          FROM come c
         WHERE c.id IS NOT NULL
            -- Read again in the life of another server.
            ON CONFLICT DO NOTHING
        RETURNING id, day, block, binding_id, tenant_id, sequence, at, type
    ), owed AS (
        INSERT INTO agi_router.delivery (webhook_id, event_id, day, block, binding_id, sequence)
        SELECT w.id, e.id, e.day, e.block, e.binding_id, e.sequence
          FROM written e
          JOIN agi_router.webhook w ON w.tenant_id = e.tenant_id
         WHERE e.type = ANY (w.types) AND w.state <> 'removed'
           -- Of what was before a webhook it is not told. Clocks may differ a little.
           AND e.at > greatest(w.created_at, since.since) - interval '5 seconds'
            -- Of an id that is given again what was owed is lost there.
            ON CONFLICT (webhook_id, event_id) DO UPDATE
           SET day = excluded.day, block = excluded.block, binding_id = excluded.binding_id, sequence = excluded.sequence,
               tries = 0, owed_since = excluded.owed_since, next_at = excluded.next_at, batch = NULL
    ), last AS (
        SELECT c.xid::xid8 AS xid, c.id, c.day
          FROM come c
         WHERE c.id IS NOT NULL
         ORDER BY c.xid::xid8 DESC, c.id DESC
         LIMIT 1
    )
    UPDATE agi_cells.fetched f
       SET life = n.life, xid = coalesce(l.xid, n.xid), id = coalesce(l.id, n.id), day = coalesce(l.day, f.day)
      -- Where nothing has come, the first row says from where it looked.
      FROM (SELECT c.life, c.xid::xid8 AS xid, 0::bigint AS id FROM come c WHERE c.id IS NULL) n
      LEFT JOIN last l ON true
     WHERE f.cell = _cell AND (n.life <> f.life OR l.id IS NOT NULL)
    RETURNING (SELECT count(*)
                 FROM come c
                WHERE NOT EXISTS (SELECT 1 FROM written r WHERE r.id = c.id AND r.day = c.day)
                  AND NOT (SELECT (e.block, e.binding_id, e.sequence, e.type)
                                  IS NOT DISTINCT FROM (c.block, c.binding_id, c.sequence, c.type)
                             FROM agi_router.event e
                            WHERE e.id = c.id AND e.day = c.day)) INTO other;
    IF other > 0 THEN
        RAISE WARNING 'cell % has given ids of % events again that it had lost: these are not told', _cell, other;
    END IF;
END
$$;
COMMENT ON FUNCTION agi_cells.fetch IS 'Has so many events of a cell at most come here';

DROP FUNCTION IF EXISTS agi_cells.visit(integer);
CREATE OR REPLACE FUNCTION agi_cells.list_visits() RETURNS TABLE (cell integer, due boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
BEGIN
    IF current_setting('transaction_read_only')::boolean THEN
        -- Of a standby, lists show what has come.
        RETURN QUERY SELECT c.id, false FROM agi_cells.cell c;
        RETURN;
    END IF;
    INSERT INTO agi_cells.fetched (cell)
    SELECT c.id FROM agi_cells.cell c WHERE NOT EXISTS (SELECT 1 FROM agi_cells.fetched f WHERE f.cell = c.id)
        ON CONFLICT DO NOTHING;
    RETURN QUERY
    SELECT f.cell, NOT agi_cells.is_silent(f.cell)
      FROM agi_cells.fetched f
     -- Who did not answer comes last.
     ORDER BY f.retry_at, f.cell;
END
$$;
COMMENT ON FUNCTION agi_cells.list_visits IS 'The cells, and whether they are to be asked for events now';

CREATE OR REPLACE FUNCTION agi_cells.pass_over(_cell integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    UPDATE agi_cells.fetched f SET retry_at = clock_timestamp() + interval '1 minute' WHERE f.cell = _cell
$$;
COMMENT ON FUNCTION agi_cells.pass_over IS 'Has nobody ask a cell for events for a minute';

CREATE OR REPLACE FUNCTION agi_cells.visit(_cell integer, _expired integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
-- In a transaction for one cell alone: a server that stands still is given up by ending the session.
DECLARE
    most CONSTANT integer := 5000;
    marked integer := 0;
BEGIN
    -- One at a time asks a cell. What is under way elsewhere is left to that one.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('agi_cells.fetch', _cell)) THEN
        RETURN 0;
    END IF;
    IF _expired > 0 THEN
        marked := agi_cells.mark_expired(_cell, _expired);
    END IF;
    PERFORM agi_cells.fetch(_cell, most);
    UPDATE agi_cells.fetched f SET retry_at = '-infinity' WHERE f.cell = _cell AND f.retry_at > '-infinity';
    RETURN marked;
EXCEPTION WHEN OTHERS THEN
    -- The others are not to wait for it each time.
    RAISE WARNING 'cell % is not asked for a minute: %', _cell, SQLERRM;
    PERFORM agi_cells.pass_over(_cell);
    RETURN 0;
END
$$;
COMMENT ON FUNCTION agi_cells.visit IS 'Has the events of a cell come here, and so many bindings at most be marked there that the clock has ended; returns how many were';

CREATE OR REPLACE FUNCTION agi_cells.put_off() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    most   CONSTANT integer := 5000;
    silent CONSTANT bigint[] := ARRAY(SELECT k.block
                                        FROM agi_cells.cell c
                                        JOIN agi_router.block k ON k.cell = c.id
                                       WHERE agi_cells.is_silent(c.id));
BEGIN
    IF silent = '{}' THEN
        RETURN;
    END IF;
    -- Each by itself: under the name of a batch that goes without it nobody would take it.
    UPDATE agi_router.delivery d
       SET next_at = clock_timestamp() + interval '1 minute', batch = NULL
     WHERE d.ctid = ANY (ARRAY(SELECT o.ctid
                                 FROM agi_router.delivery o
                                WHERE o.block = ANY (silent) AND o.next_at < clock_timestamp() + interval '30 seconds'
                                LIMIT most
                                  FOR UPDATE SKIP LOCKED));
END
$$;
COMMENT ON FUNCTION agi_cells.put_off IS 'Puts off some of what is owed of cells that do not answer: they alone have its parties';
REVOKE ALL ON FUNCTION agi_cells.list_visits, agi_cells.visit, agi_cells.pass_over, agi_cells.put_off, agi_cells.fetch, agi_cells.list_told,
    agi_cells.mark_expired, agi_cells.list_parties_then, agi_cells.list_traced, agi_cells.is_deleted, agi_cells.may_read FROM PUBLIC;

CREATE OR REPLACE FUNCTION agi_router.list_visits() RETURNS TABLE (cell integer, due boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT * FROM agi_cells.list_visits()
$$;

CREATE OR REPLACE FUNCTION agi_router.visit_cell(_cell integer, _expired integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT agi_cells.visit(_cell, _expired)
$$;

CREATE OR REPLACE FUNCTION agi_router.pass_over_cell(_cell integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT agi_cells.pass_over(_cell)
$$;

CREATE OR REPLACE FUNCTION agi_router.expire_bindings(_limit integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Bindings are marked by visits.
    SELECT agi_cells.put_off();
    SELECT agi_router.end_locks(_limit) + agi_router.lapse_appeals(_limit)
$$;

CREATE OR REPLACE FUNCTION agi_router.list_parties_then(_block bigint[], _id bigint[], _at timestamptz[])
RETURNS TABLE (
    place bigint, block bigint, binding_id bigint, x_number bigint, caller_tag bigint, shown bigint, side text,
    callee bytea, caller bytea, mode text, y_ttl integer, parent_id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    asked record;
BEGIN
    PERFORM agi_cells.may_read();
    FOR asked IN SELECT c.cell, agi_cells.is_silent(c.cell) AS silent, array_agg(n::bigint) AS places,
                        array_agg(_block[n]) AS blocks, array_agg(_id[n]) AS ids, array_agg(_at[n]) AS times
                   FROM generate_subscripts(_block, 1) n
                  CROSS JOIN LATERAL agi_cells.cell_of(_block[n]) c (cell)
                  GROUP BY c.cell LOOP
        IF NOT asked.silent THEN
            BEGIN
                RETURN QUERY
                SELECT asked.places[r.place], r.block, r.binding_id, r.x_number, r.caller_tag, r.shown, r.side, r.callee,
                       r.caller, r.mode, r.y_ttl, r.parent_id
                  FROM agi_cells.list_parties_then(asked.cell, asked.blocks, asked.ids, asked.times) r;
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'cell % does not say who was bound: %', asked.cell, SQLERRM;
                asked.silent := true;
            END;
        END IF;
        IF asked.silent THEN
            -- Nobody can read them: that is not that there are none.
            RETURN QUERY
            SELECT p.place, p.block, p.id, NULL::bigint, NULL::bigint, NULL::bigint, 'a', NULL::bytea, NULL::bytea, '',
                   NULL::integer, NULL::bigint
              FROM unnest(asked.places, asked.blocks, asked.ids) p (place, block, id);
        END IF;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION agi_router.list_traced(_block bigint[], _id bigint[])
RETURNS TABLE (
    block bigint, id bigint, tenant_id integer, mode text, state text, begins_at timestamptz, expires_at timestamptz,
    ended_at timestamptz, order_id text, moments timestamptz[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM agi_cells.may_read();
    RETURN QUERY
    SELECT t.*
      FROM (SELECT array_agg(n.block) AS blocks, array_agg(n.id) AS ids
              FROM unnest(_block, _id) n (block, id)
             WHERE NOT agi_cells.is_away(n.block)) asked
     CROSS JOIN LATERAL agi_cells.list_traced(asked.blocks, asked.ids) t
     WHERE asked.blocks IS NOT NULL;
END
$$;

CREATE OR REPLACE FUNCTION agi_router.is_deleted(_since date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM agi_cells.may_read();
    -- Retention deletes in the cells.
    RETURN (SELECT bool_or(d) FROM agi_cells.is_deleted(_since) d);
END
$$;

CREATE OR REPLACE FUNCTION agi_cells.share_out() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
-- A foreign table has no rows of its own: it is dropped and made anew, with other blocks.
DECLARE
    cell   record;
    name   text;
    values text;
    owner  CONSTANT text := (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = 'agi_router');
BEGIN
    -- That the rows of a foreign table are not looked through is no news.
    PERFORM set_config('client_min_messages', 'error', true);
    FOR cell IN SELECT c.id, c.name, c.away, string_agg(k.block::text, ', ' ORDER BY k.block) AS blocks
                  FROM agi_cells.cell c
                  LEFT JOIN agi_router.block k ON k.cell = c.id
                 GROUP BY c.id ORDER BY c.id LOOP
        -- Calls to numbers that nobody has are settled in cell 0, too.
        values := CASE WHEN cell.id = 0 THEN 'DEFAULT' ELSE 'FOR VALUES IN (' || cell.blocks || ')' END;
        FOREACH name IN ARRAY agi_cells.tables() LOOP
            EXECUTE format('DROP FOREIGN TABLE IF EXISTS agi_cells.%I', name || '_' || cell.id);
            IF values IS NOT NULL AND NOT cell.away THEN
                EXECUTE format(
                    'CREATE FOREIGN TABLE agi_cells.%I PARTITION OF agi_router.%I %s SERVER %I'
                    ' OPTIONS (schema_name %L, table_name %L)',
                    name || '_' || cell.id, name, values, 'agi_cell_' || cell.name, 'agi_router', name);
                -- Triggers of the program are made, for a moment, where it is migrated.
                EXECUTE format('GRANT TRIGGER ON agi_cells.%I TO %I', name || '_' || cell.id, owner);
            END IF;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.share_out IS 'Says to lists which blocks are in which cell';

CREATE OR REPLACE FUNCTION agi_cells.blocks_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    -- A move does so by itself, once calls are taken again.
    IF current_setting('agi_cells.switches', true) IS DISTINCT FROM 'on' THEN
        PERFORM agi_cells.share_out();
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_cells.blocks_changed IS 'Runs agi_cells.share_out';
CREATE OR REPLACE TRIGGER agi_cells_share_out AFTER INSERT OR DELETE OR UPDATE OF cell ON agi_router.block
    FOR EACH STATEMENT EXECUTE FUNCTION agi_cells.blocks_changed();

CREATE OR REPLACE FUNCTION agi_cells.take_tables() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    name  text;
    owner text;
BEGIN
    -- Rights are asked for and given by name: the tables for what has no day of its own stay, empty.
    ALTER TABLE agi_router.call DETACH PARTITION agi_router.call_other;
    ALTER TABLE agi_router.message DETACH PARTITION agi_router.message_other;
    FOREACH name IN ARRAY agi_cells.tables() LOOP
        SELECT pg_get_userbyid(c.relowner) INTO STRICT owner
          FROM pg_class c WHERE c.oid = format('agi_router.%I', name)::regclass;
        EXECUTE format('CREATE TABLE agi_cells.%I (LIKE agi_router.%I INCLUDING DEFAULTS INCLUDING GENERATED'
                       ' INCLUDING COMMENTS) PARTITION BY LIST (block)', name, name);
        EXECUTE format('DROP TABLE agi_router.%I CASCADE', name);
        EXECUTE format('ALTER TABLE agi_cells.%I SET SCHEMA agi_router', name);
        EXECUTE format('ALTER TABLE agi_router.%I OWNER TO %I', name, owner);
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.take_tables IS 'Has the tables of agi_cells.tables no rows in this database any more, but in the cells';

CREATE OR REPLACE FUNCTION agi_cells.serving() RETURNS SETOF name
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT pg_get_userbyid(a.grantee)
      FROM pg_catalog.pg_class c
     CROSS JOIN LATERAL aclexplode(c.relacl) a
     WHERE c.oid = 'agi_router.binding'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
$$;
COMMENT ON FUNCTION agi_cells.serving IS 'The roles that serve, besides the owner of the schema';

CREATE OR REPLACE FUNCTION agi_cells.connect_cells() RETURNS void
LANGUAGE plpgsql AS $$
-- What a session of the program relies on is said to the cells, too: see agi_router/db/session.py. A cell that is there and
-- says nothing, so that it does not end a statement by itself, is waited for a little longer than it would.
DECLARE
    settings CONSTANT text := '-c DateStyle=ISO,MDY -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=1'
        ' -c search_path=pg_catalog -c jit=off -c lock_timeout=2s -c statement_timeout=10s';
    cell     record;
    server   text;
    cells    text := '';
    movers   text := '';
    who      text;
    owner    CONSTANT text := (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = 'agi_router');
BEGIN
    -- What goes with them is made anew; it is no news either.
    PERFORM set_config('client_min_messages', 'error', true);
    FOR server IN SELECT s.srvname FROM pg_foreign_server s WHERE s.srvname ~ '^agi_cells?(_|$)' LOOP
        EXECUTE format('DROP SERVER %I CASCADE', server);
    END LOOP;
    FOR cell IN SELECT * FROM agi_cells.cell c ORDER BY c.id LOOP
        -- Of several hosts one has the cell at a time: the others have none of its uses, or no longer.
        cells := cells || format(
            ', p%s %L', cell.id,
            format('host=%s port=%s dbname=%s user=%s target_session_attrs=read-write connect_timeout=3 tcp_user_timeout=10000'
                   ' application_name=agi_cells options=%L',
                   cell.host, cell.port, cell.dbname, cell.login, settings));
        movers := movers || format(
            ', p%s %L', cell.id,
            format('host=%s port=%s dbname=%s user=%s target_session_attrs=read-write connect_timeout=3'
                   ' application_name=agi_cells options=%L',
                   cell.host, cell.port, cell.dbname, cell.mover, settings));
        server := 'agi_cell_' || cell.name;
        FOR server, who IN VALUES (server || '_mover', cell.mover), (server, cell.login) LOOP
            EXECUTE format(
                'CREATE SERVER %I FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L,'
                ' target_session_attrs %L, connect_timeout %L, application_name %L, async_capable %L, fetch_size %L, options %L)',
                server, cell.host, cell.port, cell.dbname, 'read-write', '3', 'agi_cells', 'true', '1000', settings);
            EXECUTE format(
                'CREATE USER MAPPING FOR PUBLIC SERVER %I OPTIONS (user %L, password_required %L)', server, who, 'false');
        END LOOP;
        EXECUTE format(
            'CREATE FOREIGN TABLE agi_cells.%I () INHERITS (agi_cells.self) SERVER %I'
            ' OPTIONS (schema_name %L, table_name %L, async_capable %L)',
            'self_' || cell.id, server, 'agi_cells', 'self', 'false');
        EXECUTE format(
            'CREATE FOREIGN TABLE agi_cells.%I (name text, given text[], result jsonb, past text) SERVER %I'
            ' OPTIONS (schema_name %L, table_name %L)',
            'run_' || cell.id, server, 'agi_cells', 'run');
        EXECUTE format('GRANT SELECT, INSERT ON agi_cells.%I TO %I', 'run_' || cell.id, owner);
    END LOOP;
    EXECUTE format('CREATE SERVER agi_cells FOREIGN DATA WRAPPER plproxy OPTIONS (modular_mapping %L, query_timeout %L%s)', '1', '12',
                   cells);
    EXECUTE format('CREATE SERVER agi_cells_mover FOREIGN DATA WRAPPER plproxy OPTIONS (modular_mapping %L, query_timeout %L%s)',
                   '1', '12', movers);
    CREATE USER MAPPING FOR PUBLIC SERVER agi_cells;
    CREATE USER MAPPING FOR PUBLIC SERVER agi_cells_mover;
    -- What runs in cells does so as the login there, whoever asks: so who serves alone may ask, and nobody for a move but
    -- what is a superuser's here. The owner of the schema gives this to others: `agi-router db grant`.
    EXECUTE format('GRANT USAGE ON FOREIGN SERVER agi_cells TO %I WITH GRANT OPTION', owner);
    FOR who IN SELECT agi_cells.serving() LOOP
        EXECUTE format('GRANT USAGE ON FOREIGN SERVER agi_cells TO %I', who);
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.connect_cells IS 'Makes the servers of PL/Proxy and of postgres_fdw anew, by agi_cells.cell; foreign tables go with those of before';

CREATE OR REPLACE FUNCTION agi_cells.sent() RETURNS SETOF oid
LANGUAGE sql STABLE AS $$
    SELECT p.oid
      FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'agi_router'::regnamespace
       AND (p.proargnames[1] = '_block' AND p.proname <> ALL (agi_cells.here() || agi_cells.joining() || agi_cells.binding() || agi_cells.aged())
            OR p.proname = ANY (agi_cells.everywhere() || agi_cells.in_every()))
$$;
COMMENT ON FUNCTION agi_cells.sent IS 'The functions that run in cells';

CREATE OR REPLACE FUNCTION agi_cells.make(_name text, _like regprocedure, _language text, _body text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION agi_router.%I(%s) RETURNS %s LANGUAGE %I AS %L',
                   _name, pg_get_function_arguments(_like), pg_get_function_result(_like), _language, _body);
END
$$;
COMMENT ON FUNCTION agi_cells.make IS 'Makes a function that is asked, and answers, as one of the program does: the signatures are those of sql/functions, so none stands twice';

CREATE OR REPLACE FUNCTION agi_cells.given(_function regprocedure) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT string_agg('$' || i, ', ' ORDER BY i)
      FROM pg_catalog.pg_proc p
     CROSS JOIN generate_series(1, p.pronargs) i
     WHERE p.oid = _function
$$;
COMMENT ON FUNCTION agi_cells.given IS 'The arguments of a function, as its body names them by their places';

CREATE OR REPLACE FUNCTION agi_cells.split(_function regprocedure) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT ' SPLIT ' || string_agg(p.proargnames[i], ', ') || ';'
      FROM pg_catalog.pg_proc p
     CROSS JOIN generate_series(1, p.pronargs) i
      JOIN pg_catalog.pg_type y ON y.oid = p.proargtypes[i - 1] AND y.typcategory = 'A'
     WHERE p.oid = _function AND p.proargtypes[0] = 'bigint[]'::regtype AND p.proargnames[1] = '_block'
$$;
COMMENT ON FUNCTION agi_cells.split IS 'How PL/Proxy sends the parts of arrays to their cells, where a function is asked for several blocks; null: for one';

CREATE OR REPLACE FUNCTION agi_cells.pack(_function regprocedure) RETURNS void
LANGUAGE plpgsql AS $$
-- Both sessions write times alike: see agi_cells.connect_cells.
DECLARE
    f record;
BEGIN
    SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
           array_to_string(p.proargnames[1:p.pronargs], ', ') AS given
      INTO STRICT f
      FROM pg_catalog.pg_proc p
     WHERE p.oid = _function;
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION agi_router.%I(%s) RETURNS text LANGUAGE plproxy AS %L', 'agi_cells_alone_' || f.name,
        f.arguments,
        format('CLUSTER ''agi_cells''; RUN ON agi_cells.cell_of(_block); SELECT agi_router.%s(%s)::text;', f.name, f.given));
    PERFORM agi_cells.make(
        f.name, _function, 'sql',
        format('SELECT agi_router.%I(%s)::%s', 'agi_cells_alone_' || f.name, agi_cells.given(_function), f.result));
END
$$;
COMMENT ON FUNCTION agi_cells.pack IS 'Has a function run in the cell of its block, and its row come as one text';

CREATE OR REPLACE FUNCTION agi_cells.send_functions() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.oid, p.proname
               FROM pg_proc p
              WHERE p.oid IN (SELECT agi_cells.sent()) AND p.proname NOT IN (SELECT agi_cells.twins()) LOOP
        IF f.proname = ANY (agi_cells.packed()) THEN
            PERFORM agi_cells.pack(f.oid);
            CONTINUE;
        END IF;
        PERFORM agi_cells.make(
            f.proname, f.oid, 'plproxy',
            format('CLUSTER ''agi_cells'';%s RUN ON %s;', agi_cells.split(f.oid),
                   CASE WHEN f.proname = 'forget_seen_messages' THEN 'agi_cells.present()'
                        WHEN f.proname = ANY (agi_cells.everywhere()) THEN 'agi_cells.all_present()'
                        WHEN f.proname = ANY (agi_cells.in_every()) THEN 'agi_cells.every()'
                        ELSE 'agi_cells.cell_of(_block)' END));
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.send_functions IS 'Has every function whose first argument is _block, but those of agi_cells.here, run in the cell of that block, or for an array each part in its own; and those of agi_cells.everywhere and of agi_cells.in_every in all';

CREATE OR REPLACE FUNCTION agi_router.agi_cells_run_in(_cell integer, _name text, _given text[]) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    _result jsonb;
BEGIN
    IF _name <> ALL (agi_cells.joining() || agi_cells.rotating()) THEN
        RAISE 'no such function' USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('INSERT INTO agi_cells.%I (name, given, past) VALUES ($1, $2, $3) RETURNING result', 'run_' || _cell)
       INTO _result USING _name, _given, current_setting('agi_router.strangers', true);
    RETURN _result;
END
$$;
REVOKE ALL ON FUNCTION agi_router.agi_cells_run_in FROM PUBLIC;
COMMENT ON FUNCTION agi_router.agi_cells_run_in IS 'Runs a function in a cell as part of the transaction that this one is part of, which holds there what lists of it have locked, and ends with it';

CREATE OR REPLACE FUNCTION agi_cells.is_alone() RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    -- A transaction begins with its first statement, or with a BEGIN before that. Not by the clocks of tests. What comes by
    -- the extended protocol, as all that has arguments, is never told to be alone: it is then one of this transaction.
    SELECT pg_catalog.now() = pg_catalog.statement_timestamp()
$$;
COMMENT ON FUNCTION agi_cells.is_alone IS 'Whether the statement is a transaction by itself';

CREATE OR REPLACE FUNCTION agi_cells.make_alone(_function regprocedure) RETURNS void
LANGUAGE sql AS $$
    SELECT agi_cells.make(
               'agi_cells_alone_' || p.proname, p.oid, 'plproxy',
               format('CLUSTER ''agi_cells'';%s TARGET agi_router.%s; RUN ON agi_cells.cell_of(_block);',
                      agi_cells.split(p.oid), p.proname))
      FROM pg_catalog.pg_proc p
     WHERE p.oid = _function
$$;
COMMENT ON FUNCTION agi_cells.make_alone IS 'Makes the twin of a function, which runs it in the cell of its block by PL/Proxy';

CREATE OR REPLACE FUNCTION agi_cells.join_functions() RETURNS void
LANGUAGE plpgsql AS $$
-- Each has a twin that runs by PL/Proxy. It is asked where the statement is alone, as it reads the newest
-- rows and waits for others; within a transaction the cell's part of that runs it, which sees what it did before. One that
-- is read only has done nothing, and may insert no row by which a cell is asked: what only reads is asked as if alone.
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.oid, p.proname, pg_get_function_result(p.oid) AS result, p.proargtypes[0] = 'bigint[]'::regtype AS many,
                    -- As text. Of arrays that go with one of blocks each part goes to its own cell.
                    (SELECT string_agg(
                                CASE WHEN p.proargtypes[0] = 'bigint[]'::regtype AND y.typcategory = 'A'
                                     THEN format('ARRAY(SELECT $%1$s[i] FROM generate_subscripts($1, 1) i'
                                                 ' WHERE (SELECT agi_cells.cell_of($1[i])) = _cell ORDER BY i)::text', i)
                                     ELSE format('$%s::text', i) END, ', ' ORDER BY i)
                       FROM generate_series(1, p.pronargs) i
                       JOIN pg_type y ON y.oid = p.proargtypes[i - 1]) AS texts
               FROM pg_proc p
              WHERE p.pronamespace = 'agi_router'::regnamespace AND p.proname = ANY (agi_cells.joining()) LOOP
        PERFORM agi_cells.make_alone(f.oid);
        PERFORM agi_cells.make(
            f.proname, f.oid, 'plpgsql',
            format('DECLARE _cell integer; BEGIN IF agi_cells.is_alone()%s THEN %s; RETURN; END IF;'
                   ' FOR _cell IN SELECT DISTINCT c.cell FROM unnest(%s) b (block), agi_cells.cell_of(b.block) c (cell) ORDER BY 1'
                   ' LOOP %s%s; END LOOP; END',
                   CASE f.proname WHEN 'list_routes' THEN ' OR current_setting(''transaction_read_only'')::boolean' ELSE '' END,
                   CASE f.result WHEN 'void' THEN 'PERFORM' ELSE 'RETURN QUERY SELECT * FROM' END
                   || format(' agi_router.%I(%s)', 'agi_cells_alone_' || f.proname, agi_cells.given(f.oid)),
                   CASE WHEN f.many THEN '$1' ELSE 'ARRAY[$1]' END,
                   -- Locks are set here: of two at once the second sees the first.
                   CASE WHEN f.proname IN ('add_routes', 'replace_parties')
                        THEN 'PERFORM agi_router.refuse_locked(_block, _binding_id, _x_number, _caller_tag, _shown, _callee_tags); '
                        WHEN f.proname = 'change_group_bindings'
                        THEN 'IF cardinality(_binding_id) > 0 THEN'
                             ' PERFORM agi_router.refuse_locked(_block, _binding_id[1], ''{}'', _caller_tag, ''{}'', ''{}''); END IF; '
                        ELSE '' END,
                   agi_cells.joined_call(f.proname, f.result, f.texts)));
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.join_functions IS 'Has the functions of agi_cells.joining take part in transactions of this database';

CREATE OR REPLACE FUNCTION agi_cells.joined_call(_name text, _result text, _texts text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN _result = 'void'
                THEN format('PERFORM agi_router.agi_cells_run_in(_cell, %L, ARRAY[%s])', _name, _texts)
                WHEN _result LIKE 'TABLE(%'
                THEN format('RETURN QUERY SELECT r.* FROM jsonb_to_recordset(agi_router.agi_cells_run_in(_cell, %L, ARRAY[%s])) r(%s)', _name, _texts,
                            substring(_result FROM 7 FOR length(_result) - 7))
                ELSE format('RETURN QUERY SELECT c.value::%s FROM jsonb_array_elements(agi_router.agi_cells_run_in(_cell, %L, ARRAY[%s])) r,'
                            ' jsonb_each_text(r.value) c', replace(_result, 'SETOF ', ''), _name, _texts) END
$$;
COMMENT ON FUNCTION agi_cells.joined_call IS 'The statement that runs a function in a cell within a transaction';

CREATE OR REPLACE FUNCTION agi_cells.hold_bind(_block bigint, _tenant_id integer, _keys bigint[], _consents boolean)
RETURNS boolean
LANGUAGE plpgsql AS $$
-- A cell hears of what is changed here a moment later: who binds holds it here, too, in the order of one database.
DECLARE
    _all CONSTANT bigint[] := _keys || ARRAY[_block, _tenant_id];
BEGIN
    IF _consents THEN
        PERFORM pg_advisory_xact_lock_shared(7002043, _tenant_id);
    END IF;
    PERFORM agi_router.await_locks(_all);
    IF EXISTS (SELECT 1
                 FROM agi_router.find_locks(
                      _all, _tenant_id, clock_timestamp(),
                      coalesce(nullif(current_setting('agi_router.strangers', true), ''), '{}')::bigint[])) THEN
        RAISE 'a lock is in force' USING ERRCODE = 'AR004';
    END IF;
    PERFORM 1 FROM agi_router.block k WHERE k.block = _block AND k.state = 'active' FOR KEY SHARE;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION agi_cells.hold_bind IS 'Waits for who is just locking one of these keys, closing the block or withdrawing consent, and keeps all of that off until the transaction ends; false: the block is closed; fails with AR004 where a lock is in force, but for those of agi_router.strangers. _consents: whether persons have to agree';

CREATE OR REPLACE FUNCTION agi_cells.bind_past(_block bigint, _past text, _given text[]) RETURNS jsonb
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells'; RUN ON agi_cells.cell_of(_block); $$;
COMMENT ON FUNCTION agi_cells.bind_past IS 'Binds in the cell of a block past locks that are known to be of strangers: see agi_router.refuse_locked';

CREATE OR REPLACE FUNCTION agi_cells.send_binds() RETURNS void
LANGUAGE plpgsql AS $$
-- What people agree to with a bind is written here, as all lines of consent are, and goes to all cells. What an API key
-- may make on a day is counted here, where keys are: before, and what was not made is given back, so it is never more.
DECLARE
    drawn CONSTANT regprocedure := 'agi_router.bind_drawn'::regproc::regprocedure;
    f     CONSTANT regprocedure := 'agi_router.bind'::regproc::regprocedure;
BEGIN
    PERFORM agi_cells.make_alone(drawn), agi_cells.make_alone(f);
    PERFORM agi_cells.make(
        'bind', f, 'plpgsql',
        format($body$
DECLARE
    _past CONSTANT text := nullif(nullif(current_setting('agi_router.strangers', true), ''), '{}');
BEGIN
    IF NOT agi_cells.hold_bind(
           _block, (_terms ->> 'tenant_id')::integer,
           _x_number || _caller_tag || _shown || ARRAY(SELECT unnest(c::bigint[]) FROM unnest(_callee_tags) c), false) THEN
        RETURN;
    END IF;
    IF _past IS NULL THEN
        RETURN QUERY SELECT * FROM agi_router.agi_cells_alone_bind(%s);
    ELSE
        RETURN QUERY
        SELECT b.at::timestamptz FROM jsonb_array_elements_text(agi_cells.bind_past(_block, _past, ARRAY[%s])) b (at);
    END IF;
END
$body$, agi_cells.given(f), replace(agi_cells.given(f), ',', '::text,') || '::text'));
    PERFORM agi_cells.make(
        'bind_drawn', drawn, 'plpgsql',
        format($body$
DECLARE
    _place    integer;
    _made     integer := 0;
    _key      CONSTANT text := CASE WHEN (_rules ->> 'counted')::boolean THEN _rules ->> 'api_key' END;
    _consents CONSTANT boolean := coalesce((_rules ->> 'consents')::boolean, false);
    _consent  text; -- what the tenant asks for
BEGIN
    IF NOT agi_cells.hold_bind(
           _block, _tenant_id, ('{' || translate(array_to_string(_tags, ','), '{}', '') || '}')::bigint[] || _drawn, _consents) THEN
        RETURN;
    END IF;
    IF _consents THEN
        SELECT t.consent INTO _consent FROM agi_router.tenant t WHERE t.id = (_rules ->> 'tenant_id')::integer AND t.ruled;
        IF false = ANY (agi_router.fit_rules(_block, _tenant_id, '{}', coalesce(_consent, 'off'), false, _terms, _rules)) THEN
            RETURN;
        END IF;
    END IF;
    IF _consent = 'asserted' THEN
        PERFORM agi_router.assert_current_keys(_block, _tag_key, _seal_key);
    END IF;
    IF _key IS NOT NULL AND EXISTS (SELECT 1 FROM agi_router.take_key_quota(_key, cardinality(_id))) THEN
        RAISE 'too many' USING ERRCODE = 'AR005';
    END IF;
    FOR id, x_number, begins_at, expires_at IN SELECT * FROM agi_router.agi_cells_alone_bind_drawn(%s) LOOP
        _made := _made + (begins_at IS NOT NULL)::integer;
        _place := array_position(_id, id) - 1;
        IF _consent = 'asserted' AND begins_at IS NOT NULL AND _terms -> _place ->> 'consent' IS NOT NULL THEN
            -- The cell has committed: given up here, it would be bound once more.
            PERFORM set_config('lock_timeout', '0', true);
            PERFORM agi_router.state_consents(
                (_rules ->> 'tenant_id')::integer, _rules -> 'each' -> _place -> 'people', _terms -> _place ->> 'order_id',
                _terms -> _place ->> 'consent', _block || '-' || id);
        END IF;
        RETURN NEXT;
    END LOOP;
    IF _key IS NOT NULL AND _made < cardinality(_id) THEN
        PERFORM agi_router.take_key_quota(_key, _made - cardinality(_id));
    END IF;
EXCEPTION
    -- As there: the caller asks step by step. Who is locked may be a stranger.
    WHEN SQLSTATE 'AR001' OR SQLSTATE 'AR004' THEN
        RETURN;
    WHEN SQLSTATE 'AR005' THEN
        RETURN QUERY SELECT n, NULL::bigint, NULL::timestamptz, NULL::timestamptz FROM unnest(_id) n;
END
$body$, agi_cells.given(drawn)));
END
$$;
COMMENT ON FUNCTION agi_cells.send_binds IS 'Has the functions of agi_cells.binding hold here what a bind relies on, and write here what was stated with it';

CREATE OR REPLACE FUNCTION agi_cells.came_before(_block bigint, _binding_id bigint, _tags bigint[], _until timestamptz)
RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    old record;
BEGIN
    FOR old IN
        WITH RECURSIVE carried (block, binding_id) AS (
            SELECT a.block, a.binding_id
              FROM agi_router.appeal_rebind a
             WHERE a.new_block = _block AND a.new_binding_id = _binding_id
             UNION
            SELECT a.block, a.binding_id
              FROM carried c
              JOIN agi_router.appeal_rebind a ON a.new_block = c.block AND a.new_binding_id = c.binding_id
        )
        SELECT c.block, c.binding_id FROM carried c LOOP
        IF EXISTS (SELECT 1
                     FROM agi_router.route r
                    WHERE r.block = old.block AND r.binding_id = old.binding_id AND r.begins_at < _until
                      AND (r.caller_tag = ANY (_tags) OR r.callee_tags[1] = ANY (_tags) AND r.caller IS NOT NULL))
           OR EXISTS (SELECT 1
                        FROM agi_router.past_route r
                       WHERE r.block = old.block AND r.binding_id = old.binding_id AND r.begins_at < _until
                         AND (r.caller_tag = ANY (_tags) OR r.callee_tags[1] = ANY (_tags) AND r.caller IS NOT NULL)) THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
COMMENT ON FUNCTION agi_cells.came_before IS 'Whether somebody with one of these tags was a party, before a time, of one of those in whose place a binding came by appeals';

CREATE OR REPLACE FUNCTION agi_cells.send_aged() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    ended     CONSTANT regprocedure := 'agi_router.end_recycled'::regproc::regprocedure;
    forgotten CONSTANT regprocedure := 'agi_router.forget_recycled'::regproc::regprocedure;
BEGIN
    PERFORM agi_cells.make_alone(ended), agi_cells.make_alone(forgotten);
    PERFORM agi_cells.make(
        'end_recycled', ended, 'plpgsql',
        format($body$
BEGIN
    FOR place IN 1 .. cardinality(_block) LOOP
        IF agi_cells.came_before(_block[place], _binding_id[place], _tags[place]::bigint[], _until[place]) THEN
            _until[place] := 'infinity';
        END IF;
    END LOOP;
    RETURN QUERY SELECT * FROM agi_router.agi_cells_alone_end_recycled(%s);
END
$body$, agi_cells.given(ended)));
    PERFORM agi_cells.make(
        'forget_recycled', forgotten, 'plpgsql',
        format($body$
BEGIN
    IF agi_cells.came_before(_block, _binding_id, _tags, _until) THEN
        _until := 'infinity';
    END IF;
    RETURN QUERY SELECT * FROM agi_router.agi_cells_alone_forget_recycled(%s);
END
$body$, agi_cells.given(forgotten)));
END
$$;
COMMENT ON FUNCTION agi_cells.send_aged IS 'Has a party of a binding that was carried over be as old as it is, wherever that was';

CREATE OR REPLACE FUNCTION agi_cells.copied() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['blocklist', 'consent', 'group_member', 'hold', 'key', 'lock', 'lock_mark', 'message_rule', 'new_owner',
                 'old_number', 'party_group', 'person_mark', 'pool', 'real_name', 'tenant', 'tenant_check']
$$;
COMMENT ON FUNCTION agi_cells.copied IS 'The tables that are written in the global database alone, and that each cell has a copy of. Not webhooks: what they are owed of a cell''s events is written here';

CREATE OR REPLACE FUNCTION agi_cells.publish() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    cell record;
BEGIN
    FOR cell IN SELECT c.id FROM agi_cells.cell c
                 WHERE NOT EXISTS (SELECT 1 FROM pg_publication p WHERE p.pubname = 'agi_cell_' || c.id) LOOP
        EXECUTE format(
            'CREATE PUBLICATION %I FOR TABLE agi_cells.beat (one, at), agi_router.block WHERE (cell = %s OR next_cell = %s),'
            ' %s WITH (publish = %L)',
            'agi_cell_' || cell.id, cell.id, cell.id,
            (SELECT string_agg('agi_router.' || name, ', ') FROM unnest(agi_cells.copied()) name),
            'insert, update, delete');
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.publish IS 'Makes a publication for each cell: its blocks, and what each cell has a copy of';

CREATE OR REPLACE FUNCTION agi_cells.uncomposed() RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT p.proname::text
      FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
     WHERE p.oid IN (SELECT agi_cells.sent()) AND p.proname <> ALL (agi_cells.packed()) AND l.lanname <> 'plproxy'
        OR p.pronamespace = 'agi_router'::regnamespace
           AND p.proname = ANY (agi_cells.joining() || agi_cells.packed() || agi_cells.binding() || agi_cells.aged())
           AND strpos(p.prosrc, 'agi_cells_alone_' || p.proname) = 0
     ORDER BY p.proname
$$;
COMMENT ON FUNCTION agi_cells.uncomposed IS 'The functions that run here, though they are of the cells';

CREATE OR REPLACE FUNCTION agi_router.look_at_proxy()
RETURNS TABLE (migrations text[], functions text[], uncomposed text[], unconnected text[], unpublished text[])
LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT m.number || ' ' || m.checksum FROM agi_router.migration m ORDER BY m.number),
           ARRAY(SELECT f.name || ' ' || f.checksum FROM agi_router.function f ORDER BY f.name),
           ARRAY(SELECT u FROM agi_cells.uncomposed() u),
           -- The cells that are asked elsewhere than they are, by one way or the other.
           ARRAY(SELECT c.name
                   FROM agi_cells.cell c
                  WHERE NOT EXISTS (
                            SELECT 1
                              FROM pg_catalog.pg_foreign_server s
                             WHERE s.srvname = 'agi_cell_' || c.name
                               AND s.srvoptions @> ARRAY['host=' || c.host, 'port=' || c.port, 'dbname=' || c.dbname])
                     OR NOT EXISTS (
                            SELECT 1
                              FROM pg_catalog.pg_foreign_server s
                             CROSS JOIN unnest(s.srvoptions) o (text)
                             WHERE s.srvname = 'agi_cells'
                               AND starts_with(o.text, format('p%s=host=%s port=%s dbname=%s user=%s ',
                                                              c.id, c.host, c.port, c.dbname, c.login)))
                     OR NOT EXISTS (
                            SELECT 1
                              FROM pg_catalog.pg_foreign_server s
                             CROSS JOIN unnest(s.srvoptions) o (text)
                             WHERE s.srvname = 'agi_cells_mover'
                               AND starts_with(o.text, format('p%s=host=%s port=%s dbname=%s user=%s ',
                                                              c.id, c.host, c.port, c.dbname, c.mover)))
                  ORDER BY c.name),
           ARRAY(SELECT DISTINCT t.name
                   FROM agi_cells.cell c
                  CROSS JOIN unnest(agi_cells.copied() || ARRAY['block']) t (name)
                  WHERE NOT EXISTS (
                            SELECT 1
                              FROM pg_catalog.pg_publication_tables p
                             WHERE p.pubname = 'agi_cell_' || c.id AND p.schemaname = 'agi_router' AND p.tablename = t.name)
                  ORDER BY t.name)
$$;

CREATE OR REPLACE FUNCTION agi_cells.compose() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_partitioned_table p WHERE p.partrelid = 'agi_router.binding'::regclass) THEN
        PERFORM agi_cells.take_tables();
    END IF;
    PERFORM agi_cells.connect_cells();
    PERFORM agi_cells.join_functions();
    PERFORM agi_cells.send_binds();
    PERFORM agi_cells.send_aged();
    PERFORM agi_cells.send_functions();
    PERFORM agi_cells.share_out();
    PERFORM agi_cells.publish();
    INSERT INTO agi_cells.fetched (cell, since) SELECT c.id, clock_timestamp() FROM agi_cells.cell c ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION agi_cells.compose IS 'Makes all that follows from the rows of agi_cells.cell: to be run when they have changed';

CREATE OR REPLACE FUNCTION agi_cells.set_away(_name text, _away boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE agi_cells.cell c SET away = _away WHERE c.name = _name;
    IF NOT FOUND THEN
        RAISE 'there is no cell %', _name;
    END IF;
    PERFORM agi_cells.share_out();
END
$$;
COMMENT ON FUNCTION agi_cells.set_away IS 'Has lists and ends of orders go on without a cell, and no number be chosen there; or no longer';

-- What a cell is asked beside its blocks; sql/cells/cell.sql has each of these there.
CREATE OR REPLACE FUNCTION agi_cells.prepare(_cell integer, _block bigint) RETURNS void
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.prepare IS 'Has a cell make the tables in which rows of blocks are set aside';
CREATE OR REPLACE FUNCTION agi_cells.holds(_cell integer, _block bigint) RETURNS bigint
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.holds IS 'How many tables of a cell have rows of a block';
CREATE OR REPLACE FUNCTION agi_cells.sees(_cell integer, _block bigint) RETURNS text
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.sees IS 'Whose a block is, and its state, as a cell knows it';
CREATE OR REPLACE FUNCTION agi_cells.writers(_cell integer, _block bigint) RETURNS text[]
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.writers IS 'Who is writing rows of blocks in a cell';
CREATE OR REPLACE FUNCTION agi_cells.set_aside(_cell integer, _block bigint, _limit integer) RETURNS bigint
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.set_aside IS 'Has a cell take rows of a block out of its tables, for the way';
CREATE OR REPLACE FUNCTION agi_cells.digest(_cell integer, _block bigint) RETURNS TABLE (name text, rows bigint, digest numeric)
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.digest IS 'What of a block a cell has set aside';
CREATE OR REPLACE FUNCTION agi_cells.forget(_cell integer, _block bigint) RETURNS void
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.forget IS 'Has a cell delete what of a block it has set aside';
CREATE OR REPLACE FUNCTION agi_cells.make_days(_cell integer, _block bigint) RETURNS void
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.make_days IS 'Has a cell make the days that rows on their way there need';
CREATE OR REPLACE FUNCTION agi_cells.take_in(_cell integer, _block bigint) RETURNS void
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.take_in IS 'Has a cell put what has come of a block into its tables';
CREATE OR REPLACE FUNCTION agi_cells.settled(_cell integer, _block bigint, _all boolean)
RETURNS TABLE (
    id text, day date, x_number bigint, ended_at timestamptz, reason text, outcome text, ring_ms integer, talk_ms integer,
    released_by text, cause integer, sip_status integer, clock text, kept boolean)
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.settled IS 'Calls that were up when their block left a cell, and have ended there';
CREATE OR REPLACE FUNCTION agi_cells.drop_settled(_cell integer, _block bigint, _id text[]) RETURNS bigint
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.drop_settled IS 'Has a cell delete calls that are settled where their block is now; returns how many are up still';
CREATE OR REPLACE FUNCTION agi_cells.put_back(_cell integer, _block bigint) RETURNS void
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.put_back IS 'Has a cell put what it has set aside of a block back into its tables';
CREATE OR REPLACE FUNCTION agi_cells.wipe(_cell integer, _block bigint) RETURNS void
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.wipe IS 'Has a cell delete what has come of a block that stays another cell''s after all';
CREATE OR REPLACE FUNCTION agi_cells.count_refused(_cell integer, _block bigint, _from timestamptz) RETURNS bigint
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells_mover'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.count_refused IS 'How many calls to a block have been refused in a cell since a time because it was closed';
CREATE OR REPLACE FUNCTION agi_cells.load(_cell integer)
RETURNS TABLE (bindings bigint, calls_up bigint, calls_lately bigint, size bigint, followed boolean, reached text)
LANGUAGE plproxy AS $$ CLUSTER 'agi_cells'; RUN ON _cell; $$;
COMMENT ON FUNCTION agi_cells.load IS 'What a cell has to do, and how far it follows this database';

CREATE OR REPLACE FUNCTION agi_cells.send(_block bigint, _from integer, _to integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    name    text;
    number  integer;
    columns text;
BEGIN
    PERFORM agi_cells.forget(_to, _block);
    FOR name IN SELECT d.name FROM agi_cells.digest(_from, _block) d LOOP
        SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum)
          INTO columns
          FROM pg_attribute a
         WHERE a.attrelid = format('agi_router.%I', name)::regclass AND a.attnum > 0 AND NOT a.attisdropped;
        FOREACH number IN ARRAY ARRAY[_from, _to] LOOP
            EXECUTE format(
                'CREATE FOREIGN TABLE agi_cells.%I (%s) SERVER %I OPTIONS (schema_name %L, table_name %L, batch_size %L)',
                'moving_' || name || '_' || number,
                (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
                   FROM pg_attribute a
                  WHERE a.attrelid = format('agi_router.%I', name)::regclass AND a.attnum > 0 AND NOT a.attisdropped),
                'agi_cell_' || (SELECT c.name FROM agi_cells.cell c WHERE c.id = number) || '_mover',
                'agi_cells', 'moving_' || name, '1000');
        END LOOP;
        EXECUTE format('INSERT INTO agi_cells.%1$I (%3$s) SELECT %3$s FROM agi_cells.%2$I WHERE block = $1',
                       'moving_' || name || '_' || _to, 'moving_' || name || '_' || _from, columns)
          USING _block;
        EXECUTE format('DROP FOREIGN TABLE agi_cells.%I, agi_cells.%I',
                       'moving_' || name || '_' || _to, 'moving_' || name || '_' || _from);
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.send IS 'Copies what is set aside of a block in one cell to another, in place of what is there';

CREATE OR REPLACE FUNCTION agi_cells.forward(_block bigint, _from integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    late record;
    ids  text[] := '{}';
BEGIN
    FOR late IN SELECT * FROM agi_cells.settled(_from, _block, false) LOOP
        PERFORM agi_router.settle(
            ARRAY[_block], late.day, ARRAY[late.id], ARRAY[late.x_number], ARRAY[late.ended_at], ARRAY[late.reason],
            ARRAY[late.outcome], ARRAY[late.ring_ms], ARRAY[late.talk_ms], ARRAY[late.released_by], ARRAY[late.cause],
            ARRAY[late.sip_status], ARRAY[late.clock], ARRAY[late.kept]);
        ids := ids || late.id;
    END LOOP;
    RETURN agi_cells.drop_settled(_from, _block, ids);
END
$$;
COMMENT ON FUNCTION agi_cells.forward IS 'Settles in its new cell what has ended in the old one of a block''s calls, each once however often it is told; returns how many are up still';

CREATE OR REPLACE FUNCTION agi_cells.take_step(_move agi_cells.move) RETURNS text
LANGUAGE plpgsql AS $$
-- Each step may be taken again: whoever is killed behind what it does, and before that is written down, does it twice.
-- What a step does in a cell is done there when it returns; what it writes here is not before its end.
DECLARE
    m agi_cells.move := _move;
    most CONSTANT interval := '3 seconds';
    -- New numbers are taken again once all is there that says which of them rest.
    meanwhile CONSTANT text := CASE m.was WHEN 'active' THEN 'draining' ELSE m.was END;
    gone bigint;
    sent text[];
BEGIN
    CASE m.step
    WHEN 'prepare' THEN
        PERFORM agi_cells.prepare(m.from_cell, m.block);
        PERFORM agi_cells.prepare(m.to_cell, m.block);
        -- Nothing is deleted that may be all there is: where this database was restored, it may not know who has the block.
        IF agi_cells.holds(m.to_cell, m.block) > 0
           AND (agi_cells.holds(m.from_cell, m.block) = 0
                OR NOT EXISTS (SELECT 1 FROM agi_cells.leftover l WHERE l.block = m.block AND l.cell = m.to_cell)) THEN
            RETURN 'rows';
        END IF;
        PERFORM agi_cells.wipe(m.to_cell, m.block);
        DELETE FROM agi_cells.leftover l WHERE l.block = m.block AND l.cell = m.to_cell;
        m.step := 'drain';
    WHEN 'drain' THEN
        -- A cell waits for whoever holds the row of a block before it changes that, and with it all that is changed behind.
        m.writers := ARRAY(SELECT w FROM unnest(agi_cells.writers(m.from_cell, m.block)) w
                            WHERE m.writers IS NULL OR w = ANY (m.writers));
        IF m.writers <> '{}' THEN
            UPDATE agi_cells.move n SET writers = m.writers WHERE n.block = m.block;
            RETURN CASE WHEN _move.writers IS NOT NULL AND clock_timestamp() > m.begun_at + most THEN 'reopened' ELSE 'writers' END;
        END IF;
        UPDATE agi_router.block k
           SET next_cell = m.to_cell, state = meanwhile
         WHERE k.block = m.block;
        m.step := 'arrive';
    WHEN 'arrive' THEN
        IF split_part(agi_cells.sees(m.from_cell, m.block), ' ', 2) IS DISTINCT FROM meanwhile
           OR agi_cells.sees(m.to_cell, m.block) IS NULL THEN
            RETURN 'replication';
        END IF;
        m.step := 'close';
    WHEN 'close' THEN
        IF NOT pg_try_advisory_xact_lock(hashtextextended('agi_cells.move', 0)) THEN
            RETURN 'lists';
        END IF;
        UPDATE agi_router.block k SET state = 'returned' WHERE k.block = m.block;
        m.closed_at := clock_timestamp();
        m.writers := NULL;
        m.step := 'fence';
    WHEN 'fence' THEN
        IF split_part(agi_cells.sees(m.from_cell, m.block), ' ', 2) = 'returned' THEN
            m.writers := ARRAY(SELECT w FROM unnest(agi_cells.writers(m.from_cell, m.block)) w
                                WHERE m.writers IS NULL OR w = ANY (m.writers));
        END IF;
        IF m.writers = '{}' THEN
            m.step := 'take_out';
        ELSIF clock_timestamp() > m.closed_at + most THEN
            -- Calls have waited long enough.
            UPDATE agi_router.block k
               SET state = meanwhile
             WHERE k.block = m.block;
            UPDATE agi_cells.move n SET step = 'arrive', closed_at = NULL WHERE n.block = m.block;
            RETURN CASE WHEN m.writers IS NULL THEN 'late' ELSE 'reopened' END;
        ELSE
            UPDATE agi_cells.move n SET writers = m.writers WHERE n.block = m.block;
            RETURN 'writers';
        END IF;
    WHEN 'take_out' THEN
        PERFORM agi_cells.set_aside(m.from_cell, m.block, NULL);
        m.step := 'send';
    WHEN 'send' THEN
        PERFORM agi_cells.send(m.block, m.from_cell, m.to_cell);
        m.step := 'verify';
    WHEN 'verify' THEN
        SELECT coalesce(sum(d.rows), 0), array_agg(d::text ORDER BY d.name)
          INTO gone, sent
          FROM agi_cells.digest(m.from_cell, m.block) d;
        IF sent IS NOT DISTINCT FROM (SELECT array_agg(d::text ORDER BY d.name) FROM agi_cells.digest(m.to_cell, m.block) d) THEN
            m.moved := m.moved + gone;
            m.tries := 0;
            m.step := 'days';
        ELSE
            m.tries := m.tries + 1;
            m.step := 'send';
            IF m.tries > 3 THEN
                RETURN 'difference';
            END IF;
        END IF;
    WHEN 'days' THEN
        PERFORM agi_cells.make_days(m.to_cell, m.block);
        m.step := 'take_in';
    WHEN 'take_in' THEN
        PERFORM agi_cells.take_in(m.to_cell, m.block);
        m.step := 'forget';
    WHEN 'forget' THEN
        PERFORM agi_cells.forget(m.from_cell, m.block);
        m.step := CASE WHEN m.opened_at IS NULL THEN 'switch' ELSE 'history' END;
    WHEN 'switch' THEN
        PERFORM set_config('agi_cells.switches', 'on', true);
        UPDATE agi_router.block k
           SET cell = m.to_cell, next_cell = m.from_cell, state = meanwhile
         WHERE k.block = m.block;
        m.step := 'open';
    WHEN 'open' THEN
        IF agi_cells.sees(m.to_cell, m.block) IS DISTINCT FROM m.to_cell || ' ' || meanwhile THEN
            RETURN 'replication';
        END IF;
        m.opened_at := clock_timestamp();
        m.step := 'share';
    WHEN 'share' THEN
        BEGIN
            -- Whoever waits for this to end waits no longer than that.
            PERFORM set_config('lock_timeout', '300ms', true);
            PERFORM agi_cells.share_out();
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RETURN 'lists';
        END;
        m.step := 'history';
    WHEN 'history' THEN
        PERFORM agi_cells.set_aside(m.from_cell, m.block, 5000);
        -- Of one who was killed something may be set aside already.
        m.step := CASE WHEN EXISTS (SELECT 1 FROM agi_cells.digest(m.from_cell, m.block)) THEN 'send'
                       WHEN m.late THEN 'finish' ELSE 'reopen' END;
    WHEN 'reopen' THEN
        UPDATE agi_router.block k SET state = m.was WHERE k.block = m.block;
        m.step := 'follow';
    WHEN 'follow' THEN
        IF agi_cells.forward(m.block, m.from_cell) > 0 THEN
            RETURN 'calls';
        END IF;
        m.late := true;
        m.step := 'history';
    WHEN 'finish' THEN
        m.refused := agi_cells.count_refused(m.to_cell, m.block, m.closed_at);
        UPDATE agi_router.block k SET next_cell = -1 WHERE k.block = m.block;
        m.ended_at := clock_timestamp();
        m.step := 'done';
    END CASE;
    UPDATE agi_cells.move n
       SET step = m.step, closed_at = m.closed_at, opened_at = m.opened_at, ended_at = m.ended_at, late = m.late,
           tries = m.tries, writers = m.writers, moved = m.moved, refused = m.refused
     WHERE n.block = m.block;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_cells.take_step IS 'Takes the next step of a move; returns what it waits for: replication; writers, who began before the block was closed; calls, that were up; lists: transactions over lists; reopened: nothing, calls are taken again where they were, for writers went on; late: the same, for the old cell did not hear of its end; rows: nothing, the new cell has rows of the block; difference: what was sent does not come as it went. Null: the step is done';

CREATE OR REPLACE FUNCTION agi_cells.step_move(_block bigint, _to text)
RETURNS TABLE (
    step text, waits text, from_name text, to_name text, begun_at timestamptz, closed_at timestamptz, opened_at timestamptz,
    ended_at timestamptz, moved bigint, refused bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    m      agi_cells.move;
    last   agi_cells.move;
    origin agi_cells.cell;
    target agi_cells.cell;
    asked  record;
    waits_ text;
    why    text;
BEGIN
    -- Who binds there goes on.
    SELECT k.cell, k.state INTO asked FROM agi_router.block k WHERE k.block = _block FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO m FROM agi_cells.move n WHERE n.block = _block AND n.ended_at IS NULL;
    IF FOUND THEN
        SELECT * INTO STRICT origin FROM agi_cells.cell c WHERE c.id = m.from_cell;
        SELECT * INTO STRICT target FROM agi_cells.cell c WHERE c.id = m.to_cell;
        why := CASE WHEN target.name <> _to THEN 'moves' END;
    ELSE
        SELECT * INTO target FROM agi_cells.cell c WHERE c.name = _to;
        SELECT * INTO STRICT origin FROM agi_cells.cell c WHERE c.id = asked.cell;
        -- Asked again, a move looks for what has come to the old cell since.
        UPDATE agi_cells.move n
           SET step = 'follow', ended_at = NULL
         WHERE n.block = _block AND n.to_cell = target.id AND target.id = origin.id AND n.ended_at IS NOT NULL
        RETURNING * INTO m;
    END IF;
    IF m.block IS NULL THEN
        why := CASE WHEN target.id IS NULL THEN 'unknown' WHEN target.id = origin.id THEN 'there'
                    WHEN target.away OR origin.away THEN 'away' END;
        SELECT n.* INTO last FROM agi_cells.move n JOIN agi_cells.cell c ON c.id = n.from_cell AND NOT c.away WHERE n.block = _block;
        -- What has come there since the last move goes where that went, before it is gone.
        IF why IS NULL AND last.from_cell <> origin.id THEN
            why := CASE WHEN agi_cells.holds(last.from_cell, _block) > 0 THEN 'late' END;
        END IF;
    END IF;
    IF why IS NOT NULL THEN
        RETURN QUERY
        SELECT 'refused', why, origin.name, target.name, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz,
               NULL::timestamptz, NULL::bigint, NULL::bigint;
        RETURN;
    END IF;
    IF m.block IS NULL THEN
        DELETE FROM agi_cells.move n WHERE n.block = _block;
        INSERT INTO agi_cells.move (block, from_cell, to_cell, was, before)
        VALUES (_block, origin.id, target.id, asked.state, last.from_cell);
    ELSE
        waits_ := agi_cells.take_step(m);
    END IF;
    RETURN QUERY
    SELECT n.step, waits_, f.name, t.name, n.begun_at, n.closed_at, n.opened_at, n.ended_at, n.moved, n.refused
      FROM agi_cells.move n
      JOIN agi_cells.cell f ON f.id = n.from_cell
      JOIN agi_cells.cell t ON t.id = n.to_cell
     WHERE n.block = _block;
END
$$;
COMMENT ON FUNCTION agi_cells.step_move IS 'Begins to move a block to another cell, or takes the next step of one that moves';
CREATE OR REPLACE FUNCTION agi_router.step_move(_block bigint, _to text) RETURNS TABLE (
    step text, waits text, from_name text, to_name text, begun_at timestamptz, closed_at timestamptz, opened_at timestamptz,
    ended_at timestamptz, moved bigint, refused bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT * FROM agi_cells.step_move(_block, _to)
$$;

CREATE OR REPLACE FUNCTION agi_cells.undo_move(_block bigint) RETURNS TABLE (undone boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    m     agi_cells.move;
    has   integer;
    owing integer;
BEGIN
    SELECT k.cell INTO has FROM agi_router.block k WHERE k.block = _block FOR NO KEY UPDATE;
    SELECT * INTO m FROM agi_cells.move n WHERE n.block = _block AND n.ended_at IS NULL;
    IF NOT FOUND THEN
        -- Asked again, it deletes what has come to the other cell. That may not answer, while the block takes calls.
        FOR owing IN SELECT l.cell FROM agi_cells.leftover l WHERE l.block = _block LOOP
            IF owing <> has THEN
                IF agi_cells.holds(owing, _block) > 0 AND agi_cells.holds(has, _block) = 0 THEN
                    RETURN QUERY SELECT false;
                    RETURN;
                END IF;
                PERFORM agi_cells.wipe(owing, _block);
            END IF;
            DELETE FROM agi_cells.leftover l WHERE l.block = _block AND l.cell = owing;
            RETURN QUERY SELECT true;
        END LOOP;
        RETURN;
    END IF;
    -- Behind these the rows may be in the new cell alone.
    IF m.opened_at IS NOT NULL OR m.step IN ('forget', 'switch', 'open') THEN
        RETURN QUERY SELECT false;
        RETURN;
    END IF;
    IF m.step NOT IN ('prepare', 'drain') THEN
        PERFORM agi_cells.put_back(m.from_cell, m.block);
    END IF;
    -- What is no change is not told either, which the cell might wait for long to take.
    UPDATE agi_router.block k
       SET state = m.was, next_cell = -1
     WHERE k.block = _block AND (k.state, k.next_cell) IS DISTINCT FROM (m.was, -1);
    IF m.step <> 'prepare' THEN
        INSERT INTO agi_cells.leftover (block, cell) VALUES (_block, m.to_cell) ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM agi_cells.move n WHERE n.block = _block;
    -- What comes late to where it was before is looked for there still.
    INSERT INTO agi_cells.move (block, from_cell, to_cell, step, was, closed_at, opened_at, ended_at, late)
    SELECT _block, m.before, m.from_cell, 'done', m.was, clock_timestamp(), clock_timestamp(), clock_timestamp(), true
     WHERE m.before <> m.from_cell;
    RETURN QUERY SELECT true;
END
$$;
COMMENT ON FUNCTION agi_cells.undo_move IS 'Leaves a block that is being moved where it was';
CREATE OR REPLACE FUNCTION agi_router.undo_move(_block bigint) RETURNS TABLE (undone boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT * FROM agi_cells.undo_move(_block)
$$;

CREATE OR REPLACE FUNCTION agi_cells.is_moving(_block bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT EXISTS (SELECT 1
                     FROM agi_cells.move m
                    WHERE m.block = _block AND m.ended_at IS NULL AND NOT m.late AND m.step <> 'follow')
$$;
COMMENT ON FUNCTION agi_cells.is_moving IS 'Whether a block moves that has not got the state again that it had before';
CREATE OR REPLACE FUNCTION agi_router.is_moving(_block bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT agi_cells.is_moving(_block)
$$;

CREATE OR REPLACE FUNCTION agi_cells.list_writers(_block bigint) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    has agi_cells.cell;
BEGIN
    SELECT c.* INTO has FROM agi_router.block k JOIN agi_cells.cell c ON c.id = k.cell WHERE k.block = _block;
    IF NOT has.away THEN
        RETURN QUERY SELECT unnest(agi_cells.writers(has.id, _block));
    END IF;
EXCEPTION WHEN OTHERS THEN
    -- Where it does not answer, nobody writes: it hears of all when it is back.
    RETURN;
END
$$;
COMMENT ON FUNCTION agi_cells.list_writers IS 'Who holds rows of blocks in the cell of a block: it waits for them before it takes another state of that one, and with it all that is changed behind';
CREATE OR REPLACE FUNCTION agi_router.list_writers(_block bigint) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT w FROM agi_cells.list_writers(_block) w
$$;

CREATE OR REPLACE FUNCTION agi_router.set_cell_away(_name text, _away boolean) RETURNS TABLE (name text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM agi_cells.cell c WHERE c.name = _name) THEN
        PERFORM agi_cells.set_away(_name, _away);
        RETURN QUERY SELECT _name;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION agi_cells.list_loads()
RETURNS TABLE (
    cell integer, name text, away boolean, answers boolean, bindings bigint, calls_up bigint, calls_lately bigint,
    size bigint, followed boolean, behind bigint, moving bigint[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    asked agi_cells.cell;
    told  record;
BEGIN
    FOR asked IN SELECT * FROM agi_cells.cell c ORDER BY c.id LOOP
        cell := asked.id;
        name := asked.name;
        away := asked.away;
        answers := false;
        bindings := NULL; calls_up := NULL; calls_lately := NULL; size := NULL; followed := NULL; behind := NULL;
        moving := ARRAY(SELECT m.block FROM agi_cells.move m
                         WHERE m.ended_at IS NULL AND asked.id IN (m.from_cell, m.to_cell) ORDER BY m.block);
        -- Who is waited for in vain keeps the others from being told.
        IF away THEN
            RETURN NEXT;
            CONTINUE;
        END IF;
        BEGIN
            -- One that takes connections and says nothing is given up by this way alone.
            PERFORM agi_cells.ask(asked.name);
            SELECT * INTO told FROM agi_cells.load(asked.id);
            answers := true;
            bindings := told.bindings;
            calls_up := told.calls_up;
            calls_lately := told.calls_lately;
            size := told.size;
            followed := told.followed;
            behind := greatest(0, pg_wal_lsn_diff(pg_current_wal_lsn(), told.reached::pg_lsn));
        EXCEPTION WHEN OTHERS THEN
            -- Whatever ails it, the others are told.
            NULL;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.list_loads IS 'What each cell has to do, whether it answers, and how far it is behind';
CREATE OR REPLACE FUNCTION agi_router.list_loads() RETURNS TABLE (
    cell integer, name text, away boolean, answers boolean, bindings bigint, calls_up bigint, calls_lately bigint,
    size bigint, followed boolean, behind bigint, moving bigint[])
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT * FROM agi_cells.list_loads()
$$;
-- These say where other databases are and how to get there.
REVOKE ALL ON FUNCTION agi_cells.set_away, agi_cells.compose, agi_cells.connect_cells, agi_cells.make, agi_cells.make_alone, agi_cells.pack,
    agi_cells.send_functions, agi_cells.send_binds, agi_cells.send_aged, agi_cells.join_functions, agi_cells.share_out, agi_cells.take_tables, agi_cells.publish, agi_cells.prepare,
    agi_cells.set_aside, agi_cells.digest, agi_cells.forget, agi_cells.make_days, agi_cells.take_in, agi_cells.settled, agi_cells.drop_settled, agi_cells.put_back,
    agi_cells.wipe, agi_cells.send, agi_cells.forward, agi_cells.take_step, agi_cells.load, agi_cells.holds, agi_cells.step_move,
    agi_cells.undo_move, agi_cells.writers, agi_cells.list_writers, agi_cells.list_loads FROM PUBLIC;

DO $$
BEGIN
    -- Its functions of these names ask these.
    EXECUTE format('GRANT EXECUTE ON FUNCTION agi_cells.step_move, agi_cells.undo_move, agi_cells.list_writers,'
                   ' agi_cells.list_loads, agi_cells.set_away, agi_cells.look, agi_cells.ask, agi_cells.list_visits, agi_cells.visit, agi_cells.pass_over, agi_cells.put_off,'
                   ' agi_cells.list_parties_then, agi_cells.list_traced, agi_cells.is_deleted, agi_cells.may_read TO %I',
                   (SELECT pg_get_userbyid(p.proowner) FROM pg_proc p WHERE p.oid = 'agi_router.list_loads'::regproc));
END
$$;

CREATE OR REPLACE FUNCTION agi_cells.give_away(_name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER FUNCTION agi_router.%I OWNER TO %I', _name,
                   (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = 'agi_router'));
END
$$;
COMMENT ON FUNCTION agi_cells.give_away IS 'Has a function be that of whoever migrates';
SELECT agi_cells.give_away('why_closed'), agi_cells.give_away('agi_cells_run_in');

CREATE TABLE IF NOT EXISTS agi_cells.replaced (
    name       text NOT NULL CONSTRAINT replaced_pkey PRIMARY KEY,
    source     text NOT NULL,
    definition text NOT NULL
);
COMMENT ON TABLE agi_cells.replaced IS 'The functions of agi_router in whose place this file has its own, as `agi-router db migrate` brings those of the program';
COMMENT ON COLUMN agi_cells.replaced.name IS 'Its name';
COMMENT ON COLUMN agi_cells.replaced.source IS 'Its body';
COMMENT ON COLUMN agi_cells.replaced.definition IS 'What makes it';
DELETE FROM agi_cells.replaced;
INSERT INTO agi_cells.replaced (name, source, definition)
SELECT p.proname, p.prosrc, pg_get_functiondef(p.oid)
  FROM pg_proc p
 WHERE p.pronamespace = 'agi_router'::regnamespace
   AND p.proname IN ('assert_whole', 'expire_bindings', 'hold_moves', 'is_deleted', 'is_moving', 'list_cells', 'list_loads', 'list_missing',
                     'list_parties_then', 'list_routers_behind', 'list_traced', 'list_visits', 'list_writers', 'look_at_cell', 'look_at_cells', 'look_at_proxy',
                     'pass_over_cell', 'run_behind', 'set_cell_away', 'step_move', 'undo_move', 'visit_cell', 'why_closed');

CREATE OR REPLACE FUNCTION agi_cells.put_in_place() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT e.name, e.definition, p.oid
               FROM agi_cells.replaced e
               JOIN pg_catalog.pg_proc p ON p.pronamespace = 'agi_router'::regnamespace AND p.proname = e.name
              WHERE p.prosrc <> e.source
                -- One that is asked otherwise, or answers so, stays the program's: faults() tells of it.
                AND starts_with(e.definition, format(E'CREATE OR REPLACE FUNCTION agi_router.%I(%s)\n RETURNS %s\n', p.proname,
                                                     pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))) LOOP
        IF r.name = 'why_closed' THEN
            PERFORM agi_cells.set_aside_why_closed();
        END IF;
        EXECUTE r.definition;
        PERFORM agi_cells.give_away(r.name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.put_in_place IS 'Puts those functions of agi_router that are in agi_cells.replaced in the place of the program''s';

CREATE OR REPLACE FUNCTION agi_cells.triggers() RETURNS TABLE (tab text, name text)
LANGUAGE sql STABLE AS $$
    SELECT c.relname::text, t.tgname::text
      FROM pg_catalog.pg_trigger t
      JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
     WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relname = ANY (agi_cells.tables()) AND NOT t.tgisinternal
$$;
COMMENT ON FUNCTION agi_cells.triggers IS 'Triggers of the program on tables whose rows are in the cells, where they run: here they have nothing to do';

CREATE OR REPLACE FUNCTION agi_cells.faults() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT 'agi_cells_share_out'
     WHERE NOT EXISTS (SELECT 1
                         FROM pg_trigger t
                        WHERE t.tgrelid = 'agi_router.block'::regclass AND t.tgname = 'agi_cells_share_out'
                          AND t.tgenabled = 'O')
     UNION ALL
    SELECT e.name
      FROM agi_cells.replaced e
     WHERE NOT EXISTS (SELECT 1
                         FROM pg_proc p
                        WHERE p.pronamespace = 'agi_router'::regnamespace AND p.proname = e.name AND p.prosrc = e.source)
     UNION ALL
    SELECT agi_cells.uncomposed()
     UNION ALL
    SELECT t.name FROM agi_cells.triggers() t
$$;
COMMENT ON FUNCTION agi_cells.faults IS 'What of this file is not in force: names of triggers and functions';

CREATE OR REPLACE FUNCTION agi_cells.reapply() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    old record;
BEGIN
    PERFORM agi_cells.put_in_place();
    FOR old IN SELECT * FROM agi_cells.triggers() LOOP
        EXECUTE format('DROP TRIGGER %I ON agi_router.%I', old.name, old.tab);
    END LOOP;
    -- They are asked as the others are now.
    FOR old IN SELECT p.oid::regprocedure AS name
                 FROM pg_proc p
                WHERE p.pronamespace = 'agi_router'::regnamespace AND p.proname IN (SELECT agi_cells.twins()) LOOP
        EXECUTE format('DROP FUNCTION %s', old.name);
    END LOOP;
    PERFORM agi_cells.join_functions();
    PERFORM agi_cells.send_binds();
    PERFORM agi_cells.send_aged();
    PERFORM agi_cells.send_functions();
END
$$;
COMMENT ON FUNCTION agi_cells.reapply IS 'Has what this file puts in the place of the program''s functions be there again: for `agi-router db migrate`';
REVOKE ALL ON FUNCTION agi_cells.reapply, agi_cells.put_in_place, agi_cells.give_away, agi_cells.set_aside_why_closed FROM PUBLIC;
DO $$
BEGIN
    -- Who migrates.
    EXECUTE format('GRANT EXECUTE ON FUNCTION agi_cells.reapply TO %I',
                   (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = 'agi_router'));
END
$$;
