-- What makes an empty database of agi_router the global one of several cells: docs/operate-many.md.
--
-- A superuser runs it once, behind `agi-router db migrate`, then names the cells in agi_cells.cell and runs
-- agi_cells.compose(), which makes all else of them.

CREATE EXTENSION plproxy;
CREATE EXTENSION postgres_fdw;
CREATE SCHEMA agi_cells;
COMMENT ON SCHEMA agi_cells IS 'Which database holds which block, and how it is asked';
-- Whoever asks for a block needs to know where that is.
GRANT USAGE ON SCHEMA agi_cells TO PUBLIC;

CREATE TABLE agi_cells.cell (
    id       integer NOT NULL CONSTRAINT cell_pkey PRIMARY KEY
             -- Ids of bindings are shared out by it, and have to stay whole numbers in JSON.
             CONSTRAINT cell_id_check CHECK (id BETWEEN 0 AND 799),
    name     text    NOT NULL CONSTRAINT cell_name_key UNIQUE -- errors of PostgreSQL quote it
             CONSTRAINT cell_name_check CHECK (name ~ '^[a-z][a-z0-9-]{0,30}$'),
    host     text    NOT NULL,
    port     integer NOT NULL DEFAULT 5432,
    dbname   text    NOT NULL,
    login    text    NOT NULL DEFAULT 'agi_router',
    open     boolean NOT NULL DEFAULT true,
    away     boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE agi_cells.cell IS 'The cells: each is a database of agi_router that has blocks of its own';
COMMENT ON COLUMN agi_cells.cell.id IS 'Its number: from 0 on, none left out, never changed';
COMMENT ON COLUMN agi_cells.cell.name IS 'What people call it';
COMMENT ON COLUMN agi_cells.cell.host IS 'Where its primary is; several with commas between them';
COMMENT ON COLUMN agi_cells.cell.port IS 'The port of its primary';
COMMENT ON COLUMN agi_cells.cell.dbname IS 'The name of its database';
COMMENT ON COLUMN agi_cells.cell.login IS 'The role that asks it: one with the rights of `agi-router db grant`. Its password is where libpq looks for it: in .pgpass of the account that PostgreSQL runs as';
COMMENT ON COLUMN agi_cells.cell.open IS 'Whether new blocks may come to it';
COMMENT ON COLUMN agi_cells.cell.away IS 'Whether an operator has said that it does not answer: lists go on without it, and say so';
GRANT SELECT ON agi_cells.cell TO PUBLIC;

CREATE FUNCTION agi_cells.next_cell() RETURNS integer
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
ALTER TABLE agi_router.block ADD COLUMN cell integer NOT NULL DEFAULT agi_cells.next_cell()
    CONSTRAINT block_cell_fkey REFERENCES agi_cells.cell;
COMMENT ON COLUMN agi_router.block.cell IS 'The cell that has it';
CREATE UNIQUE INDEX block_cell ON agi_router.block (block, cell);
ALTER TABLE agi_router.block REPLICA IDENTITY USING INDEX block_cell;

CREATE FUNCTION agi_cells.cell_of(_block bigint) RETURNS SETOF integer
LANGUAGE sql STABLE AS $$
    -- One row. What returns a set is planned with the statement that asks it, once in a session.
    SELECT coalesce((SELECT k.cell FROM agi_router.block k WHERE k.block = _block), 0)
$$;
COMMENT ON FUNCTION agi_cells.cell_of IS 'The cell that has a block; one that nobody has is asked for in cell 0, which has it as little';

CREATE FUNCTION agi_cells.tables() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['binding', 'binding_hold', 'call', 'kept_call', 'kept_message', 'message', 'message_out',
                 'message_part', 'message_seen', 'past_route', 'recording', 'route']
$$;
COMMENT ON FUNCTION agi_cells.tables IS 'The tables whose rows are in the cells: those with a block in each row';

CREATE FUNCTION agi_cells.here() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['add_to_blocklist', 'assert_current_keys', 'bind_asked', 'find_complained', 'is_listed', 'note_rebind',
                 'refuse_locked', 'set_lock', 'tell', 'tell_binding', 'why_closed']
$$;
COMMENT ON FUNCTION agi_cells.here IS 'The functions that are given a block and run in the global database all the same: what they read and write is there';

CREATE FUNCTION agi_cells.is_away(_block bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1
                     FROM agi_router.block k
                     JOIN agi_cells.cell c ON c.id = k.cell
                    WHERE k.block = _block AND c.away)
$$;
COMMENT ON FUNCTION agi_cells.is_away IS 'Whether the cell of a block is away';

-- Where a number is chosen, a cell that is away is passed over. What a row of a block says is asked as ever.
ALTER FUNCTION agi_router.why_closed SET SCHEMA agi_cells;
CREATE FUNCTION agi_router.why_closed(
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

CREATE FUNCTION agi_cells.everywhere() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['end_order']
$$;
COMMENT ON FUNCTION agi_cells.everywhere IS 'The functions that run in all cells: what they change may be in each';

CREATE FUNCTION agi_cells.present() RETURNS SETOF integer
LANGUAGE sql STABLE AS $$
    SELECT c.id FROM agi_cells.cell c WHERE NOT c.away
$$;
COMMENT ON FUNCTION agi_cells.present IS 'The cells that are asked: all but those that are away';

CREATE FUNCTION agi_cells.share_out() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
-- A foreign table has no rows of its own: it is dropped and made anew, with other blocks.
DECLARE
    cell   record;
    name   text;
    values text;
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
            END IF;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.share_out IS 'Says to lists which blocks are in which cell';

CREATE FUNCTION agi_cells.blocks_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM agi_cells.share_out();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_cells.blocks_changed IS 'Runs agi_cells.share_out';
CREATE TRIGGER agi_cells_share_out AFTER INSERT OR DELETE OR UPDATE OF cell ON agi_router.block
    FOR EACH STATEMENT EXECUTE FUNCTION agi_cells.blocks_changed();

CREATE FUNCTION agi_cells.take_tables() RETURNS void
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

CREATE FUNCTION agi_cells.connect_cells() RETURNS void
LANGUAGE plpgsql AS $$
-- What a session of the program relies on is said to the cells, too: see agi_router/db/session.py.
DECLARE
    settings CONSTANT text := '-c DateStyle=ISO,MDY -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=1'
        ' -c search_path=pg_catalog -c jit=off -c lock_timeout=2s -c statement_timeout=10s';
    cell     record;
    server   text;
    cells    text := '';
BEGIN
    -- What goes with them is made anew; it is no news either.
    PERFORM set_config('client_min_messages', 'error', true);
    FOR server IN SELECT s.srvname FROM pg_foreign_server s WHERE s.srvname ~ '^agi_cell(s$|_)' LOOP
        EXECUTE format('DROP SERVER %I CASCADE', server);
    END LOOP;
    FOR cell IN SELECT * FROM agi_cells.cell c ORDER BY c.id LOOP
        cells := cells || format(
            ', p%s %L', cell.id,
            format('host=%s port=%s dbname=%s user=%s connect_timeout=3 application_name=agi_cells options=%L',
                   cell.host, cell.port, cell.dbname, cell.login, settings));
        server := 'agi_cell_' || cell.name;
        EXECUTE format(
            'CREATE SERVER %I FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L, connect_timeout %L,'
            ' application_name %L, async_capable %L, fetch_size %L, options %L)',
            server, cell.host, cell.port::text, cell.dbname, '3', 'agi_cells', 'true', '1000', settings);
        EXECUTE format(
            'CREATE USER MAPPING FOR PUBLIC SERVER %I OPTIONS (user %L, password_required %L)', server, cell.login, 'false');
    END LOOP;
    EXECUTE format('CREATE SERVER agi_cells FOREIGN DATA WRAPPER plproxy OPTIONS (modular_mapping %L%s)', '1', cells);
    CREATE USER MAPPING FOR PUBLIC SERVER agi_cells;
    GRANT USAGE ON FOREIGN SERVER agi_cells TO PUBLIC;
END
$$;
COMMENT ON FUNCTION agi_cells.connect_cells IS 'Makes the servers of PL/Proxy and of postgres_fdw anew, by agi_cells.cell; foreign tables go with those of before';

CREATE FUNCTION agi_cells.send_functions() RETURNS void
LANGUAGE plpgsql AS $$
-- The signatures are those of sql/functions, so none stands twice.
DECLARE
    f     record;
    parts text;
BEGIN
    FOR f IN SELECT p.oid, p.proname, p.proargnames, p.proargtypes::oid[] AS types, p.pronargs
               FROM pg_proc p
              WHERE p.pronamespace = 'agi_router'::regnamespace
                AND (p.proargnames[1] = '_block' AND p.proname <> ALL (agi_cells.here())
                     OR p.proname = ANY (agi_cells.everywhere())) LOOP
        parts := NULL;
        IF f.types[0] = 'bigint[]'::regtype THEN
            SELECT string_agg(f.proargnames[i + 1], ', ') INTO parts
              FROM generate_series(0, f.pronargs - 1) i
              JOIN pg_type y ON y.oid = f.types[i] AND y.typcategory = 'A';
        END IF;
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION agi_router.%I(%s) RETURNS %s LANGUAGE plproxy AS %L',
            f.proname, pg_get_function_arguments(f.oid), pg_get_function_result(f.oid),
            format('CLUSTER ''agi_cells'';%s RUN ON %s;', ' SPLIT ' || parts || ';',
                   CASE WHEN f.proname = ANY (agi_cells.everywhere()) THEN 'agi_cells.present()'
                        ELSE 'agi_cells.cell_of(_block)' END));
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.send_functions IS 'Has every function whose first argument is _block, but those of agi_cells.here, run in the cell of that block, or for an array each part in its own; and those of agi_cells.everywhere in all';

CREATE FUNCTION agi_cells.copied() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['blocklist', 'consent', 'group_member', 'hold', 'key', 'lock', 'lock_mark', 'message_rule', 'new_owner',
                 'old_number', 'party_group', 'person_mark', 'pool', 'real_name', 'tenant', 'tenant_check', 'webhook']
$$;
COMMENT ON FUNCTION agi_cells.copied IS 'The tables that are written in the global database alone, and that each cell has a copy of';

CREATE FUNCTION agi_cells.publish() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    cell record;
BEGIN
    FOR cell IN SELECT c.id FROM agi_cells.cell c
                 WHERE NOT EXISTS (SELECT 1 FROM pg_publication p WHERE p.pubname = 'agi_cell_' || c.id) LOOP
        EXECUTE format(
            'CREATE PUBLICATION %I FOR TABLE agi_router.block WHERE (cell = %s), %s WITH (publish = %L)',
            'agi_cell_' || cell.id, cell.id,
            (SELECT string_agg('agi_router.' || name, ', ') FROM unnest(agi_cells.copied()) name),
            'insert, update, delete');
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_cells.publish IS 'Makes a publication for each cell: its blocks, and what each cell has a copy of';

CREATE FUNCTION agi_cells.compose() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_partitioned_table p WHERE p.partrelid = 'agi_router.binding'::regclass) THEN
        PERFORM agi_cells.take_tables();
    END IF;
    PERFORM agi_cells.connect_cells();
    PERFORM agi_cells.send_functions();
    PERFORM agi_cells.share_out();
    PERFORM agi_cells.publish();
END
$$;
COMMENT ON FUNCTION agi_cells.compose IS 'Makes all that follows from the rows of agi_cells.cell: to be run when they have changed';

CREATE FUNCTION agi_cells.set_away(_name text, _away boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agi_cells.cell c SET away = _away WHERE c.name = _name;
    IF NOT FOUND THEN
        RAISE 'there is no cell %', _name;
    END IF;
    PERFORM agi_cells.share_out();
END
$$;
COMMENT ON FUNCTION agi_cells.set_away IS 'Has lists and ends of orders go on without a cell, and no number be chosen there; or no longer';
-- These say where other databases are and how to get there.
REVOKE ALL ON FUNCTION agi_cells.set_away, agi_cells.compose, agi_cells.connect_cells, agi_cells.send_functions,
    agi_cells.share_out, agi_cells.take_tables, agi_cells.publish FROM PUBLIC;
