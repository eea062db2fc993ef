-- What lets a database of agi_router become a cell: docs/operate-many.md. A superuser runs it once, behind
-- `agi-router db migrate` and `agi-router db grant`, and then `SELECT agi_cells.become(number)`; and both again where
-- another release has another one.

CREATE SCHEMA IF NOT EXISTS agi_cells;
COMMENT ON SCHEMA agi_cells IS 'What makes this database one of several';
GRANT USAGE ON SCHEMA agi_cells TO PUBLIC;

ALTER TABLE agi_router.block ADD COLUMN IF NOT EXISTS cell integer;
COMMENT ON COLUMN agi_router.block.cell IS 'The cell that has it: this one, unless it is being moved';
ALTER TABLE agi_router.block ADD COLUMN IF NOT EXISTS next_cell integer;
COMMENT ON COLUMN agi_router.block.next_cell IS 'While it is being moved, the other cell that has to do with it; else -1';

CREATE TABLE IF NOT EXISTS agi_cells.me (
    cell integer NOT NULL CONSTRAINT me_pkey PRIMARY KEY
);
COMMENT ON TABLE agi_cells.me IS 'One row: which cell this is';
COMMENT ON COLUMN agi_cells.me.cell IS 'Its number';

CREATE TABLE IF NOT EXISTS agi_cells.moving_stub (
    block bigint NOT NULL,
    id    text   NOT NULL,
    day   date   NOT NULL,
    CONSTRAINT moving_stub_pkey PRIMARY KEY (block, id)
);
COMMENT ON TABLE agi_cells.moving_stub IS 'Calls that were up when their block went to another cell. Their nodes settle them here; from here they are settled there';
COMMENT ON COLUMN agi_cells.moving_stub.block IS 'Block of the call';
COMMENT ON COLUMN agi_cells.moving_stub.id IS 'The call';
COMMENT ON COLUMN agi_cells.moving_stub.day IS 'Its day';

CREATE OR REPLACE FUNCTION agi_cells.is_me(_cell integer) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM agi_cells.me m WHERE m.cell = _cell) THEN
        RAISE 'this database is not cell %: look at agi_cells.cell of the global database', _cell
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;
COMMENT ON FUNCTION agi_cells.is_me IS 'Fails where another cell was meant';

CREATE OR REPLACE FUNCTION agi_cells.close_others() RETURNS trigger
LANGUAGE plpgsql AS $$
-- Of two cells that know a block one alone may admit, whatever reaches which of them first.
BEGIN
    IF NEW.cell <> (SELECT m.cell FROM agi_cells.me m) THEN
        NEW.state := 'returned';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION agi_cells.close_others IS 'Takes no call for a block that another cell has';
CREATE OR REPLACE TRIGGER agi_cells_close_others BEFORE INSERT OR UPDATE ON agi_router.block
    FOR EACH ROW EXECUTE FUNCTION agi_cells.close_others();
-- Rows of blocks come by replication.
ALTER TABLE agi_router.block ENABLE ALWAYS TRIGGER agi_cells_close_others;

CREATE OR REPLACE FUNCTION agi_cells.take_key() RETURNS trigger
LANGUAGE plpgsql AS $$
-- A router may have noted a key here before the global database did, at its start or as the key file got one more: what
-- comes from there takes the place of that, or nothing would come any more. Another key of that id is left in the way.
BEGIN
    IF TG_OP = 'INSERT' THEN
        DELETE FROM agi_router.key k WHERE k.kind = NEW.kind AND k.id = NEW.id AND k.fingerprint = NEW.fingerprint;
    END IF;
    IF NEW.state = 'current' THEN
        UPDATE agi_router.key k SET state = 'old' WHERE k.kind = NEW.kind AND k.id <> NEW.id AND k.state = 'current';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION agi_cells.take_key IS 'Has keys be what the global database says they are';
CREATE OR REPLACE TRIGGER agi_cells_take_key BEFORE INSERT OR UPDATE ON agi_router.key
    FOR EACH ROW EXECUTE FUNCTION agi_cells.take_key();
ALTER TABLE agi_router.key ENABLE REPLICA TRIGGER agi_cells_take_key;

CREATE OR REPLACE FUNCTION agi_cells.tables() RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT c.relname::text
      FROM pg_class c
      JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attname = 'block'
     WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND c.relname <> 'block'
     ORDER BY c.relname
$$;
COMMENT ON FUNCTION agi_cells.tables IS 'The tables whose rows go along with their block: those whose key begins with it';

CREATE OR REPLACE FUNCTION agi_cells.stays() RETURNS TABLE (name text, why text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES ('block', 'each cell that has to do with it has a copy of its row'),
           ('appeal_rebind', 'it is written in the global database'),
           ('feed_match', 'a feed tells what it did where it ran: in the global database'),
           ('event', 'the global database fetches it from the cell that wrote it'),
           ('delivery', 'webhooks are in the global database'),
           ('message_sent', 'a receipt comes to the door that has sent the text')
$$;
COMMENT ON FUNCTION agi_cells.stays IS 'The tables that name a block and stay where they are when it is moved, with the reason';

CREATE OR REPLACE FUNCTION agi_cells.order_of(_name text, OUT at_once text, OUT later text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(n.at_once, 'true'), coalesce(n.later, 'false')
      FROM (SELECT 1) one
      LEFT JOIN (VALUES
           ('past_route', 'false', 'true'),
           ('recording', 'false', 'true'),
           ('kept_call', 'false', 'true'),
           ('kept_message', 'false', 'true'),
           ('binding', 't.id = ANY ($2)', 'true'),
           ('message', '(t.id, t.day) IN (SELECT o.id, o.day FROM agi_router.message_out o WHERE o.block = $1)', 'true'),
           ('call', 'false', 't.state = ''settled'' AND NOT EXISTS'
                             ' (SELECT 1 FROM agi_cells.moving_stub s WHERE s.block = t.block AND s.id = t.id)')
           ) n (name, at_once, later) ON n.name = _name
$$;
COMMENT ON FUNCTION agi_cells.order_of IS 'Which rows of a table calls and texts have a use for, so that they are moved while none is taken; and which are history, and follow when calls come to the new cell. Of a table that is not named here all go at once. $1: the block, $2: bindings that are of use';

CREATE TABLE IF NOT EXISTS agi_cells.moving_count (
    block bigint NOT NULL CONSTRAINT moving_count_pkey PRIMARY KEY,
    rows  bigint NOT NULL
);
COMMENT ON TABLE agi_cells.moving_count IS 'Of blocks that go to another cell, how much is set aside here';
COMMENT ON COLUMN agi_cells.moving_count.block IS 'The block';
COMMENT ON COLUMN agi_cells.moving_count.rows IS 'How many rows, of all tables together';

CREATE OR REPLACE FUNCTION agi_cells.hold_block(_block bigint) RETURNS void
LANGUAGE sql AS $$
    -- What was asked for by a mover who is no more may go on here: who comes behind waits for its end.
    SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('agi_cells.move', _block))
$$;
COMMENT ON FUNCTION agi_cells.hold_block IS 'Keeps others from moving rows of a block in this cell, until the transaction ends';

CREATE OR REPLACE FUNCTION agi_cells.columns(_table regclass) RETURNS text[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
      FROM pg_attribute a
     WHERE a.attrelid = _table AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION agi_cells.columns IS 'Names and types of the columns of a table, in their order; null: there is no table';

CREATE OR REPLACE FUNCTION agi_cells.holds(_cell integer, _block bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    name  text;
    found boolean;
    many  bigint := 0;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    FOR name IN SELECT agi_cells.tables() LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM agi_router.%I t WHERE t.block = $1)', name) INTO found USING _block;
        many := many + found::integer;
    END LOOP;
    RETURN many;
END
$$;
COMMENT ON FUNCTION agi_cells.holds IS 'How many tables have rows of a block here';

CREATE OR REPLACE FUNCTION agi_cells.prepare(_cell integer, _block bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
-- What is set aside for the way has tables of its own. They are made anew where columns have come and nothing is in them.
DECLARE
    name  text;
    aside text;
    stays boolean;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    PERFORM set_config('client_min_messages', 'error', true);
    -- Who prepares for one block waits for who does for another.
    PERFORM pg_advisory_xact_lock(hashtextextended('agi_cells.prepare', 0));
    FOR name IN SELECT agi_cells.tables() LOOP
        aside := 'moving_' || name;
        stays := agi_cells.columns(to_regclass(format('agi_cells.%I', aside)))
                 IS NOT DISTINCT FROM agi_cells.columns(format('agi_router.%I', name)::regclass);
        IF NOT stays AND to_regclass(format('agi_cells.%I', aside)) IS NOT NULL THEN
            -- Rows of another block may be coming just now: what is looked at is what is there when nobody writes.
            EXECUTE format('LOCK TABLE agi_cells.%I IN ACCESS EXCLUSIVE MODE', aside);
            EXECUTE format('SELECT EXISTS (SELECT 1 FROM agi_cells.%I)', aside) INTO stays;
        END IF;
        IF NOT stays THEN
            EXECUTE format('DROP TABLE IF EXISTS agi_cells.%I', aside);
            EXECUTE format('CREATE TABLE agi_cells.%I (LIKE agi_router.%I)', aside, name);
            EXECUTE format('CREATE INDEX ON agi_cells.%I (block)', aside);
            EXECUTE format('COMMENT ON TABLE agi_cells.%I IS %L', aside, 'Rows of ' || name || ' that are on their way to another cell, or from one');
        END IF;
        EXECUTE format('GRANT SELECT, INSERT ON agi_cells.%I TO %I', aside, session_user);
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.prepare IS 'Makes the tables in which rows of blocks are set aside';

CREATE OR REPLACE FUNCTION agi_cells.sees(_cell integer, _block bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM agi_cells.is_me(_cell);
    RETURN (SELECT k.cell || ' ' || k.state FROM agi_router.block k WHERE k.block = _block);
END
$$;
COMMENT ON FUNCTION agi_cells.sees IS 'Whose a block is, and its state, as this cell knows it; null: it does not know it';

CREATE OR REPLACE FUNCTION agi_cells.writers(_cell integer, _block bigint) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
-- Whoever writes a table holds a lock on it from before it looks until its end.
BEGIN
    PERFORM agi_cells.is_me(_cell);
    RETURN ARRAY(
        SELECT DISTINCT l.virtualtransaction
          FROM pg_locks l
         WHERE l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
           AND l.granted AND l.pid <> pg_backend_pid()
           AND (l.mode = 'RowExclusiveLock'
                AND l.relation IN (SELECT format('agi_router.%I', n)::regclass FROM agi_cells.tables() n)
                -- Who has looked at a block and keeps it as it is.
                OR l.mode = 'RowShareLock' AND l.relation = 'agi_router.block'::regclass));
END
$$;
COMMENT ON FUNCTION agi_cells.writers IS 'Who is writing rows of any block: transactions that may have looked at a block before it was closed';

CREATE OR REPLACE FUNCTION agi_cells.set_aside(_cell integer, _block bigint, _limit integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET session_replication_role = replica AS $$
-- Neither foreign keys nor triggers heed that rows go: they go to where the others are. Who waits for one of them finds it gone.
DECLARE
    name  text;
    key   text;
    wanted record;
    used  bigint[];
    taken bigint;
    total bigint := 0;
    up    bigint := 0;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    PERFORM agi_cells.hold_block(_block);
    IF _limit IS NULL THEN
        -- In the order of settling: calls, then bindings.
        PERFORM 1 FROM agi_router.call c WHERE c.block = _block AND c.state = 'reserved' ORDER BY c.id FOR UPDATE;
        PERFORM 1 FROM agi_router.binding b WHERE b.block = _block AND b.ended_at IS NULL ORDER BY b.id FOR UPDATE;
        -- A call that is up stays here for its node, and goes along as well.
        WITH up AS (
            INSERT INTO agi_cells.moving_stub (block, id, day)
            SELECT c.block, c.id, c.day FROM agi_router.call c WHERE c.block = _block AND c.state = 'reserved'
                ON CONFLICT DO NOTHING
            RETURNING id, day
        )
        INSERT INTO agi_cells.moving_call
        SELECT c.* FROM up JOIN agi_router.call c ON c.block = _block AND c.id = up.id AND c.day = up.day;
        GET DIAGNOSTICS up = ROW_COUNT;
        used := ARRAY(
            SELECT b.id FROM agi_router.binding b WHERE b.block = _block AND b.ended_at IS NULL
             UNION SELECT r.binding_id FROM agi_router.route r WHERE r.block = _block
             UNION SELECT r.child_id FROM agi_router.route r WHERE r.block = _block AND r.child_id IS NOT NULL
             UNION SELECT o.binding_id FROM agi_router.message_out o WHERE o.block = _block
             UNION SELECT c.binding_id FROM agi_cells.moving_call c WHERE c.block = _block AND c.binding_id IS NOT NULL);
    END IF;
    FOR name IN SELECT n FROM agi_cells.tables() n LOOP
        SELECT * INTO wanted FROM agi_cells.order_of(name);
        IF _limit IS NULL AND wanted.at_once <> 'false' THEN
            EXECUTE format('WITH gone AS (DELETE FROM agi_router.%I t WHERE t.block = $1 AND %s RETURNING t.*)'
                           ' INSERT INTO agi_cells.%I SELECT * FROM gone',
                           name, wanted.at_once, 'moving_' || name)
              USING _block, used;
        ELSIF _limit > total AND wanted.later <> 'false' THEN
            -- Rows of several days may have one place: they are told apart by their keys.
            SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attname)
              INTO key
              FROM pg_index i
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = format('agi_router.%I', name)::regclass AND i.indisprimary;
            EXECUTE format('WITH old AS MATERIALIZED (SELECT %1$s FROM agi_router.%2$I t WHERE t.block = $1 AND %3$s LIMIT $2),'
                           ' gone AS (DELETE FROM agi_router.%2$I t USING old o WHERE t.block = $1 AND (%4$s) = (%5$s)'
                           ' RETURNING t.*) INSERT INTO agi_cells.%6$I SELECT * FROM gone',
                           key, name, wanted.later, 't.' || replace(key, ', ', ', t.'), 'o.' || replace(key, ', ', ', o.'),
                           'moving_' || name)
              USING _block, _limit - total;
        ELSE
            CONTINUE;
        END IF;
        GET DIAGNOSTICS taken = ROW_COUNT;
        total := total + taken;
    END LOOP;
    INSERT INTO agi_cells.moving_count AS c (block, rows) VALUES (_block, total + up)
        ON CONFLICT (block) DO UPDATE SET rows = c.rows + excluded.rows;
    RETURN total;
END
$$;
COMMENT ON FUNCTION agi_cells.set_aside IS 'Takes rows of a block out of the tables, for the way: so many of its history, or with null all that calls and texts have a use for; returns how many';

CREATE OR REPLACE FUNCTION agi_cells.digest(_cell integer, _block bigint) RETURNS TABLE (name text, rows bigint, digest numeric)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    total bigint := 0;
    noted bigint;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    FOR name IN SELECT agi_cells.tables() LOOP
        -- Whatever the order, and alike in all versions.
        EXECUTE format('SELECT count(*), coalesce(sum((''x'' || left(md5(t::text), 15))::bit(60)::bigint), 0)'
                       ' FROM agi_cells.%I t WHERE t.block = $1', 'moving_' || name)
           INTO rows, digest USING _block;
        IF rows > 0 THEN
            total := total + rows;
            RETURN NEXT;
        END IF;
    END LOOP;
    SELECT c.rows INTO noted FROM agi_cells.moving_count c WHERE c.block = _block;
    IF noted <> total THEN
        RAISE '% rows were set aside, and % are there', noted, total USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;
COMMENT ON FUNCTION agi_cells.digest IS 'What of a block is set aside: of each table that has any, how many rows, and a digest';

CREATE OR REPLACE FUNCTION agi_cells.forget(_cell integer, _block bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    name text;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    PERFORM agi_cells.hold_block(_block);
    FOR name IN SELECT agi_cells.tables() LOOP
        EXECUTE format('DELETE FROM agi_cells.%I WHERE block = $1', 'moving_' || name) USING _block;
    END LOOP;
    DELETE FROM agi_cells.moving_count c WHERE c.block = _block;
END
$$;
COMMENT ON FUNCTION agi_cells.forget IS 'Deletes what of a block is set aside';

CREATE OR REPLACE FUNCTION agi_cells.make_days(_cell integer, _block bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
-- By itself: a transaction that makes a day holds what calls wait for.
DECLARE
    name text;
    _day date;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    FOR name IN SELECT c.relname FROM pg_class c
                 WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relkind = 'p' AND c.relname IN (SELECT agi_cells.tables()) LOOP
        FOR _day IN EXECUTE format('SELECT DISTINCT day FROM agi_cells.%I WHERE block = $1', 'moving_' || name) USING _block LOOP
            -- Where it cannot be made now the rows are kept with those that have no day.
            PERFORM agi_router.ensure_days(name, _day, _day);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.make_days IS 'Makes the days that rows on their way here need';

CREATE OR REPLACE FUNCTION agi_cells.take_in(_cell integer, _block bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET session_replication_role = replica AS $$
-- No trigger tells of them: that has been told.
DECLARE
    name    text;
    _link   text;
    missing bigint;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    PERFORM agi_cells.hold_block(_block);
    -- A text goes out by a door of this cell.
    SELECT l.name INTO _link FROM agi_router.message_link l ORDER BY l.drained, l.up_since DESC NULLS LAST, l.name LIMIT 1;
    UPDATE agi_cells.moving_message_out o
       SET link_out = _link
     WHERE o.block = _block AND _link IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM agi_router.message_link l WHERE l.name = o.link_out);
    FOR name IN SELECT agi_cells.tables() LOOP
        EXECUTE format('INSERT INTO agi_router.%I SELECT * FROM agi_cells.%I WHERE block = $1 ON CONFLICT DO NOTHING',
                       name, 'moving_' || name)
          USING _block;
        EXECUTE format('SELECT count(*) FROM agi_cells.%1$I m WHERE m.block = $1'
                       ' AND NOT EXISTS (SELECT 1 FROM agi_router.%2$I t WHERE %3$s)', 'moving_' || name, name,
                       (SELECT string_agg(format('t.%1$I = m.%1$I', a.attname), ' AND ')
                          FROM pg_index i
                          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                         WHERE i.indrelid = format('agi_router.%I', name)::regclass AND i.indisprimary))
           INTO missing USING _block;
        IF missing > 0 THEN
            RAISE '% rows of % cannot be taken in', missing, name USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
    END LOOP;
    PERFORM agi_cells.forget(_cell, _block);
END
$$;
COMMENT ON FUNCTION agi_cells.take_in IS 'Puts what has come of a block into the tables';

CREATE OR REPLACE FUNCTION agi_cells.settled(_cell integer, _block bigint, _all boolean)
RETURNS TABLE (
    id text, day date, x_number bigint, ended_at timestamptz, reason text, outcome text, ring_ms integer, talk_ms integer,
    released_by text, cause integer, sip_status integer, clock text, kept boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM agi_cells.is_me(_cell);
    RETURN QUERY
    SELECT c.id, c.day, c.x_number, c.ended_at, c.reason, c.outcome, c.ring_ms, c.talk_ms, c.released_by,
           c.cause::integer, c.sip_status::integer, c.clock, c.outcome IS NULL AND c.answered_at IS NOT NULL
      FROM agi_cells.moving_stub s
      JOIN agi_router.call c ON c.block = s.block AND c.id = s.id AND c.day = s.day
     WHERE s.block = _block AND c.state = 'settled'
       -- Who puts a recording on record looks for its call.
       AND (_all OR c.record IS NOT TRUE OR c.ended_at < clock_timestamp() - interval '2 minutes'
            OR EXISTS (SELECT 1 FROM agi_router.recording r WHERE r.block = c.block AND r.call_id = c.id AND r.day = c.day))
     ORDER BY c.id;
END
$$;
COMMENT ON FUNCTION agi_cells.settled IS 'Calls that were up when their block went, and have ended here: as agi_router.settle takes them. _all: those too whose recording may still be put on record here';

CREATE OR REPLACE FUNCTION agi_cells.drop_settled(_cell integer, _block bigint, _id text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM agi_cells.is_me(_cell);
    PERFORM agi_cells.hold_block(_block);
    WITH gone AS (
        DELETE FROM agi_cells.moving_stub s WHERE s.block = _block AND s.id = ANY (_id) RETURNING s.id, s.day
    )
    DELETE FROM agi_router.call c USING gone g WHERE c.block = _block AND c.id = g.id AND c.day = g.day;
    RETURN (SELECT count(*) FROM agi_cells.moving_stub s WHERE s.block = _block);
END
$$;
COMMENT ON FUNCTION agi_cells.drop_settled IS 'Deletes calls that are settled where their block is now; returns how many of those that were up are not';

CREATE OR REPLACE FUNCTION agi_cells.put_back(_cell integer, _block bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET session_replication_role = replica AS $$
DECLARE
    name text;
    late record;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    PERFORM agi_cells.hold_block(_block);
    FOR name IN SELECT agi_cells.tables() LOOP
        EXECUTE format('INSERT INTO agi_router.%I SELECT * FROM agi_cells.%I WHERE block = $1 ON CONFLICT DO NOTHING',
                       name, 'moving_' || name)
          USING _block;
    END LOOP;
    -- Who has ended meanwhile did so without its binding; from here on triggers tell of it.
    PERFORM set_config('session_replication_role', 'origin', true);
    FOR late IN SELECT * FROM agi_cells.settled(_cell, _block, true) LOOP
        UPDATE agi_router.call c SET state = 'reserved' WHERE c.block = _block AND c.id = late.id AND c.day = late.day;
        PERFORM agi_router.settle(
            ARRAY[_block], late.day, ARRAY[late.id], ARRAY[late.x_number], ARRAY[late.ended_at], ARRAY[late.reason],
            ARRAY[late.outcome], ARRAY[late.ring_ms], ARRAY[late.talk_ms], ARRAY[late.released_by], ARRAY[late.cause],
            ARRAY[late.sip_status], ARRAY[late.clock], ARRAY[late.kept]);
    END LOOP;
    DELETE FROM agi_cells.moving_stub s WHERE s.block = _block;
    PERFORM agi_cells.forget(_cell, _block);
END
$$;
COMMENT ON FUNCTION agi_cells.put_back IS 'Puts what was set aside of a block back into the tables';

CREATE OR REPLACE FUNCTION agi_cells.wipe(_cell integer, _block bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET session_replication_role = replica AS $$
DECLARE
    name text;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    PERFORM agi_cells.hold_block(_block);
    IF EXISTS (SELECT 1 FROM agi_router.block k WHERE k.block = _block AND k.cell = _cell) THEN
        RAISE 'the block is that of this cell' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM agi_cells.forget(_cell, _block);
    FOR name IN SELECT agi_cells.tables() LOOP
        EXECUTE format('DELETE FROM agi_router.%I WHERE block = $1', name) USING _block;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.wipe IS 'Deletes what has come here of a block that stays another cell''s after all';

CREATE OR REPLACE FUNCTION agi_cells.count_refused(_cell integer, _block bigint, _from timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM agi_cells.is_me(_cell);
    RETURN (SELECT count(*)
              FROM agi_router.call c
             WHERE c.block = _block AND c.day >= (_from AT TIME ZONE 'UTC')::date - 1
               AND c.state = 'settled' AND c.reason = 'certificate_invalid' AND c.ended_at >= _from);
END
$$;
COMMENT ON FUNCTION agi_cells.count_refused IS 'How many calls to a block have been refused since a time because it was closed';

CREATE OR REPLACE FUNCTION agi_cells.load(_cell integer)
RETURNS TABLE (bindings bigint, calls_up bigint, calls_lately bigint, size bigint, followed boolean, reached text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM agi_cells.is_me(_cell);
    RETURN QUERY
    SELECT l.bindings, l.calls_up, l.calls_lately, l.size, coalesce(s.pid IS NOT NULL, false), s.latest_end_lsn::text
      FROM agi_router.describe_load() l
      LEFT JOIN LATERAL (
           SELECT st.pid, st.latest_end_lsn
             FROM pg_subscription su
             JOIN pg_stat_subscription st ON st.subid = su.oid AND st.relid IS NULL
            WHERE su.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
            ORDER BY st.pid IS NULL LIMIT 1) s ON true;
END
$$;
COMMENT ON FUNCTION agi_cells.load IS 'What this cell has to do, and how far it follows the global database';

-- The global database reads what was told here in the order in which it was committed.
CREATE INDEX IF NOT EXISTS agi_cells_event ON agi_router.event (xid, id);

CREATE OR REPLACE FUNCTION agi_cells.list_told(_cell integer, _life text, _xid text, _id bigint, _day date, _limit integer)
RETURNS TABLE (
    life text, xid text, id bigint, day date, block bigint, binding_id bigint, tenant_id integer, sequence integer,
    at timestamptz, type text, data jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    -- A standby that was promoted may lack the last transactions of before, and gives their numbers to others.
    _now  CONSTANT text := (SELECT s.system_identifier FROM pg_control_system() s)
                           || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8);
    _same CONSTANT boolean := _life = _now;
BEGIN
    PERFORM agi_cells.is_me(_cell);
    RETURN QUERY
    SELECT _now, CASE WHEN _same THEN _xid ELSE '0' END, NULL::bigint, NULL::date, NULL::bigint, NULL::bigint, NULL::integer,
           NULL::integer, NULL::timestamptz, NULL::text, NULL::jsonb;
    RETURN QUERY
    SELECT _now, e.xid::text, e.id, e.day, e.block, e.binding_id, e.tenant_id, e.sequence, e.at, e.type, e.data
      FROM agi_router.event e
     WHERE (e.xid, e.id) > (CASE WHEN _same THEN _xid::xid8 ELSE '0' END, CASE WHEN _same THEN _id ELSE 0 END)
       AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
       -- A clock here may have been ahead for a moment.
       AND e.day >= least(_day, (clock_timestamp() AT TIME ZONE 'UTC')::date) - 1
     ORDER BY e.xid, e.id
     LIMIT _limit;
END
$$;
COMMENT ON FUNCTION agi_cells.list_told IS 'Events behind one, as they were committed; the first row has none, and says which server this is, and since which promotion. Another one than _life is read from the day before _day on';

CREATE OR REPLACE FUNCTION agi_cells.mover_functions() RETURNS SETOF regprocedure
LANGUAGE sql STABLE AS $$
    SELECT p.oid
      FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'agi_cells'::regnamespace AND p.proargnames[1:2] = ARRAY['_cell', '_block']
$$;
COMMENT ON FUNCTION agi_cells.mover_functions IS 'What moves a block: it deletes rows and writes any, so it is for the mover alone';

DROP FUNCTION IF EXISTS agi_cells.become(integer);
CREATE OR REPLACE FUNCTION agi_cells.become(_cell integer, _mover text DEFAULT 'agi_mover') RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- The global database gives the first ids; each cell those from here on, to numbers that B is shown, and to events.
    first CONSTANT bigint := (_cell + 1) * 10000000000000;
    who   text;
    what  text;
BEGIN
    IF to_regrole(quote_ident(_mover)) IS NULL THEN
        RAISE 'there is no role %: make it by CREATE ROLE … LOGIN, for the global database to move blocks by', _mover;
    END IF;
    DELETE FROM agi_cells.me;
    INSERT INTO agi_cells.me (cell) VALUES (_cell);
    -- The global database has those, and tells of what is written here.
    DELETE FROM agi_router.delivery;
    DELETE FROM agi_router.webhook;
    -- Said again, it gives nobody an id that another one has.
    IF (SELECT s.last_value FROM agi_router.binding_id s) < first THEN
        PERFORM setval('agi_router.binding_id', first, false);
    END IF;
    IF (SELECT s.last_value FROM agi_router.event_id s) < first THEN
        PERFORM setval('agi_router.event_id', first, false);
    END IF;
    FOR who, what IN
        SELECT pg_get_userbyid(a.grantee), 'FUNCTION ' || p.oid::regprocedure
          FROM pg_proc p, aclexplode(p.proacl) a
         WHERE p.oid IN (SELECT agi_cells.mover_functions()) AND a.grantee NOT IN (0, p.proowner)
         UNION ALL
        SELECT pg_get_userbyid(a.grantee), 'TABLE ' || c.oid::regclass
          FROM pg_class c, aclexplode(c.relacl) a
         WHERE c.relnamespace = 'agi_cells'::regnamespace AND c.relkind = 'r' AND starts_with(c.relname, 'moving_')
           AND a.grantee NOT IN (0, c.relowner) LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %I', what, who);
    END LOOP;
    FOR what IN
        SELECT 'EXECUTE ON FUNCTION ' || f FROM agi_cells.mover_functions() f
         UNION ALL
        SELECT 'SELECT, INSERT ON ' || c.oid::regclass
          FROM pg_class c
         WHERE c.relnamespace = 'agi_cells'::regnamespace AND c.relkind = 'r'
           AND starts_with(c.relname, 'moving_') AND c.relname <> 'moving_stub' LOOP
        EXECUTE format('GRANT %s TO %I', what, _mover);
    END LOOP;
    -- Who serves is who asks for the global database, too.
    FOR who IN SELECT DISTINCT pg_get_userbyid(a.grantee)
                 FROM pg_class c
                CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
                WHERE c.oid = 'agi_router.binding'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> 0 LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION agi_cells.load, agi_cells.list_told TO %I', who);
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.become IS 'Makes this database the cell of that number: its ids are no other''s; and lets one role alone move blocks, by which the global database does';
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA agi_cells FROM PUBLIC;

CREATE OR REPLACE FUNCTION agi_router.state_consents(
    _tenant_id integer, _people jsonb, _order_id text, _how text, _binding text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- A line of this cell's own would be in no other, and in the way of one that comes from there.
    IF current_setting('application_name') <> 'agi_cells' THEN
        RAISE 'what people agree to is written in the global database: bind with its DSN'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION agi_cells.execute(_name text, _given text[], _past text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    _call   text;
    _void   boolean;
    _result jsonb;
BEGIN
    PERFORM set_config('agi_router.strangers', coalesce(_past, ''), true);
    SELECT format('agi_router.%I(%s)', p.proname,
                  (SELECT string_agg(format('$1[%s]::%s', i, format_type(p.proargtypes[i - 1], NULL)), ', ' ORDER BY i)
                     FROM generate_series(1, p.pronargs) i)),
           p.prorettype = 'void'::regtype
      INTO STRICT _call, _void
      FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'agi_router'::regnamespace AND p.proname = _name;
    IF _void THEN
        EXECUTE 'SELECT ' || _call USING _given;
        RETURN '[]';
    END IF;
    EXECUTE 'SELECT coalesce(jsonb_agg(to_jsonb(r)), ''[]'') FROM (SELECT * FROM ' || _call || ') r'
       INTO _result USING _given;
    RETURN _result;
END
$$;
GRANT EXECUTE ON FUNCTION agi_cells.execute TO PUBLIC;
COMMENT ON FUNCTION agi_cells.execute IS 'Runs a function of agi_router as whoever asks may; its arguments as text, its rows come back. _past: locks that are known to be of strangers, see agi_router.refuse_locked';

CREATE OR REPLACE FUNCTION agi_cells.bind_past(_block bigint, _past text, _given text[]) RETURNS jsonb
LANGUAGE sql AS $$
    SELECT coalesce(jsonb_agg(v.value), '[]')
      FROM jsonb_array_elements(agi_cells.execute('bind', _given, _past)) r
     CROSS JOIN jsonb_each(r.value) v
$$;
GRANT EXECUTE ON FUNCTION agi_cells.bind_past TO PUBLIC;
COMMENT ON FUNCTION agi_cells.bind_past IS 'Binds past locks that are known to be of strangers';

CREATE OR REPLACE VIEW agi_cells.run AS
SELECT NULL::text AS name, NULL::text[] AS given, NULL::jsonb AS result, NULL::text AS past WHERE false;
COMMENT ON VIEW agi_cells.run IS 'Where a row is inserted, agi_cells.execute runs. So a transaction of the global database runs a function in the one that it has here';
CREATE OR REPLACE FUNCTION agi_cells.run_it() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.result := agi_cells.execute(NEW.name, NEW.given, NEW.past);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION agi_cells.run_it IS 'Runs a function as whoever inserts may';
CREATE OR REPLACE TRIGGER agi_cells_run INSTEAD OF INSERT ON agi_cells.run FOR EACH ROW EXECUTE FUNCTION agi_cells.run_it();
GRANT SELECT, INSERT ON agi_cells.run TO PUBLIC;

CREATE TABLE IF NOT EXISTS agi_cells.beat (
    one boolean     NOT NULL DEFAULT true CONSTRAINT beat_pkey PRIMARY KEY CONSTRAINT beat_one_check CHECK (one),
    at  timestamptz NOT NULL
);
COMMENT ON TABLE agi_cells.beat IS 'The last sign of life of the global database that has come here, as all comes that is changed there';
COMMENT ON COLUMN agi_cells.beat.one IS 'There is one row';
COMMENT ON COLUMN agi_cells.beat.at IS 'When it was given, by the clock there';
GRANT SELECT ON agi_cells.beat TO PUBLIC;

CREATE OR REPLACE FUNCTION agi_router.heard_ago() RETURNS double precision
LANGUAGE sql AS $$
    -- Who has never heard of it has not since this server was started.
    SELECT greatest(0, extract(epoch FROM clock_timestamp()
                                          - coalesce((SELECT b.at FROM agi_cells.beat b), pg_postmaster_start_time())))
           ::double precision
$$;

CREATE OR REPLACE VIEW agi_cells.self AS
SELECT (SELECT m.cell FROM agi_cells.me m) AS number,
       current_setting('server_version_num')::integer AS version,
       ARRAY(SELECT m.number || ' ' || m.checksum FROM agi_router.migration m ORDER BY m.number) AS migrations,
       ARRAY(SELECT f.name || ' ' || f.checksum FROM agi_router.function f ORDER BY f.name) AS functions,
       s.subscriptions, s.enabled, s.works, agi_router.heard_ago() AS heard_ago, l.*,
       ARRAY(SELECT f FROM agi_router.list_overlay_faults() f) AS faults
  FROM (SELECT count(*)::integer AS subscriptions, coalesce(bool_or(s.subenabled), false) AS enabled,
               coalesce(bool_or(w.pid IS NOT NULL), false) AS works
          FROM pg_catalog.pg_subscription s
          JOIN pg_catalog.pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
          LEFT JOIN pg_catalog.pg_stat_subscription w ON w.subid = s.oid AND w.relid IS NULL) s
 CROSS JOIN (
-- As the program itself looks at its own (look_at_replication).
SELECT current_setting('synchronous_standby_names') AS names,
       count(r.pid) AS followers,
       CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE')
            THEN count(r.pid) FILTER (WHERE r.state = 'streaming' AND r.sync_state <> 'async') END AS waited_for,
       max(r.replay_lag) AS lag,
       ARRAY(SELECT s.slot_name::text
               FROM pg_catalog.pg_replication_slots s
              WHERE NOT s.active AND s.wal_status IS DISTINCT FROM 'lost'
              ORDER BY s.slot_name) AS idle_slots,
       ARRAY(SELECT s.slot_name::text
               FROM pg_catalog.pg_replication_slots s
              WHERE s.wal_status = 'lost'
              ORDER BY s.slot_name) AS lost_slots
  FROM pg_catalog.pg_stat_replication r) l;
COMMENT ON VIEW agi_cells.self IS 'What this cell says of itself to the global database: which number it has, its schema, how it takes changes, who follows it';
GRANT SELECT ON agi_cells.self TO PUBLIC;

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
   AND p.proname IN ('heard_ago', 'state_consents');

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
        EXECUTE r.definition;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.put_in_place IS 'Puts those functions of agi_router that are in agi_cells.replaced in the place of the program''s';

CREATE OR REPLACE FUNCTION agi_cells.faults() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT n.name
      FROM (VALUES ('agi_cells_close_others', 'block', 'A'), ('agi_cells_take_key', 'key', 'R')) n (name, tab, enabled)
     WHERE NOT EXISTS (SELECT 1
                         FROM pg_trigger t
                        WHERE t.tgrelid = format('agi_router.%I', n.tab)::regclass AND t.tgname = n.name
                          AND t.tgenabled::text = n.enabled)
     UNION ALL
    SELECT 'become' WHERE NOT EXISTS (SELECT 1 FROM agi_cells.me m)
     UNION ALL
    SELECT e.name
      FROM agi_cells.replaced e
     WHERE NOT EXISTS (SELECT 1
                         FROM pg_proc p
                        WHERE p.pronamespace = 'agi_router'::regnamespace AND p.proname = e.name AND p.prosrc = e.source)
$$;
-- Whoever begins looks whether it is in force.
GRANT EXECUTE ON FUNCTION agi_cells.faults TO PUBLIC;
COMMENT ON FUNCTION agi_cells.faults IS 'What of this file is not in force: names of triggers and functions; become: agi_cells.become was not run';

CREATE OR REPLACE FUNCTION agi_cells.reapply() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT agi_cells.put_in_place()
$$;
COMMENT ON FUNCTION agi_cells.reapply IS 'Has what this file puts in the place of the program''s functions be there again: for `agi-router db migrate`';
REVOKE ALL ON FUNCTION agi_cells.reapply, agi_cells.put_in_place FROM PUBLIC;
DO $$
BEGIN
    -- Who migrates.
    EXECUTE format('GRANT EXECUTE ON FUNCTION agi_cells.reapply TO %I',
                   (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = 'agi_router'));
END
$$;
