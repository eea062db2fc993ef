-- Sessions, the ledger of migrations and functions, and rights.

-- set_lock_timeout --
-- Until the transaction ends, whoever waits for a lock fails after so many milliseconds.
SELECT set_config('lock_timeout', %(milliseconds)s::text, true);

-- set_statement_timeout --
-- Until the transaction ends, a statement is given up after so many milliseconds.
SELECT set_config('statement_timeout', %(milliseconds)s::text, true);

-- commit_here --
-- The transaction's commit waits for this server's disk, and for no standby.
SELECT set_config('synchronous_commit', 'local', true);

-- set_session_lock_timeout --
-- From now on, whoever waits for a lock on this connection fails after so many milliseconds.
SELECT set_config('lock_timeout', %(milliseconds)s::text, false);

-- set_application_name --
-- Say who is connected.
SELECT set_config('application_name', %(name)s, false);

-- now --
-- The database's clock, which alone judges expiry; and the process that serves us.
SELECT clock_timestamp(), pg_backend_pid() AS backend;

-- end_session --
-- End another session of this role, whatever it waits for.
SELECT pg_terminate_backend(%(backend)s);

-- look_at_commits --
-- Whether a commit of this role has waited for a standby for longer than any does by the way: the next would wait, too.
-- Half of the time after which a line that says nothing is cut.
SELECT EXISTS (SELECT 1
                 FROM pg_catalog.pg_stat_activity a
                WHERE a.wait_event = 'SyncRep' AND a.xact_start < clock_timestamp() - interval '1.5 seconds') AS stuck;

-- look_at_server --
-- When the server was started: by this two hosts are told to be one.
SELECT pg_postmaster_start_time() AS started;

-- look_at_replication --
-- Who follows this server, and whom its commits wait for. Of followers a role without pg_read_all_stats is told the
-- number alone.
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
  FROM pg_catalog.pg_stat_replication r;

-- beat --
-- The same, and whether a lock that cuts calls began, or consent was withdrawn so, within the last minute; in a cell, when
-- what is changed for all has come last.
SELECT clock_timestamp(), pg_backend_pid() AS backend, agi_router.heard_ago() AS heard_ago,
       EXISTS (SELECT m.key
                 FROM agi_router.lock_mark m
                WHERE m.cut AND m.starts_at > statement_timestamp() - interval '1 minute'
                  AND m.starts_at <= statement_timestamp())
       OR EXISTS (SELECT c.id
                    FROM agi_router.consent c
                   WHERE c.cut AND c.added_at > statement_timestamp() - interval '1 minute') AS cuts;

-- look_at_session --
-- What nobody reports unasked: the process that serves us, and whether it heeds triggers.
SELECT pg_backend_pid() AS backend, current_setting('session_replication_role') AS replication_role;

-- list_missing --
-- The databases behind this one of which nothing is in any list.
SELECT name FROM agi_router.list_missing() m (name);

-- make_ledger --
-- The schema, and the tables that keep which migrations and functions were applied.
CREATE SCHEMA IF NOT EXISTS agi_router;
CREATE TABLE IF NOT EXISTS agi_router.migration (
    number     integer     NOT NULL CONSTRAINT migration_pkey PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS agi_router.function (
    name       text        NOT NULL CONSTRAINT function_pkey PRIMARY KEY,
    checksum   text        NOT NULL,
    version    text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON SCHEMA agi_router IS 'Number protection service: bindings of 700 numbers, and calls';
COMMENT ON TABLE agi_router.migration IS 'Migrations applied to this database';
COMMENT ON COLUMN agi_router.migration.number IS 'Number of the file';
COMMENT ON COLUMN agi_router.migration.name IS 'Name of the file';
COMMENT ON COLUMN agi_router.migration.checksum IS 'SHA-256 of the file';
COMMENT ON COLUMN agi_router.migration.applied_at IS 'When it was applied';
COMMENT ON TABLE agi_router.function IS 'Functions of this schema, each with its triggers, as they were applied';
COMMENT ON COLUMN agi_router.function.name IS 'Name of the function and of its file';
COMMENT ON COLUMN agi_router.function.checksum IS 'SHA-256 of the file';
COMMENT ON COLUMN agi_router.function.version IS 'Version of agi_router that last brought the functions up to date';
COMMENT ON COLUMN agi_router.function.applied_at IS 'When this file was applied';

-- find_ledger --
-- A row if this database was ever migrated.
SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = 'agi_router' AND tablename = 'migration';

-- list_migrations --
-- The migrations applied.
SELECT number, name, checksum, applied_at FROM agi_router.migration ORDER BY number;

-- record_migration --
-- Note a migration as applied.
INSERT INTO agi_router.migration (number, name, checksum)
VALUES (%(number)s, %(name)s, %(checksum)s);

-- list_functions --
-- The functions applied.
SELECT name, checksum, version FROM agi_router.function ORDER BY name;

-- defer_function_checks --
-- Until the transaction ends, a function may be made before those that it calls.
SELECT set_config('check_function_bodies', 'off', true);

-- lock_triggered_tables --
-- Take what triggers are made on, all at once: calls wait until the transaction ends.
LOCK TABLE agi_router.api_key, agi_router.appeal, agi_router.binding, agi_router.block, agi_router.blocklist,
           agi_router.complaint, agi_router.consent, agi_router.feed, agi_router.hold, agi_router.key, agi_router.lock,
           agi_router.message_link, agi_router.message_rule, agi_router.party_group, agi_router.pool,
           agi_router.recording, agi_router.route, agi_router.tenant, agi_router.tenant_check, agi_router.webhook
        IN SHARE ROW EXCLUSIVE MODE;

-- record_function --
-- Note a function as applied.
INSERT INTO agi_router.function (name, checksum, version)
VALUES (%(name)s, %(checksum)s, %(version)s)
    ON CONFLICT (name) DO UPDATE
   SET checksum = excluded.checksum, version = excluded.version, applied_at = now();

-- find_old_overlay --
-- A row where this database is one of several by sql/cells of another release, which cannot be put back.
SELECT 1 WHERE to_regnamespace('agi_cells') IS NOT NULL AND to_regprocedure('agi_cells.reapply()') IS NULL;

-- list_overlay_faults --
-- What is not in force of what makes this database one of several.
SELECT f.name FROM agi_router.list_overlay_faults() f (name);

-- reapply_overlay --
-- Have it be in force again, behind a change of functions.
SELECT agi_router.reapply_overlay();

-- list_strays --
-- The statements that drop all triggers and functions but these; triggers first, as they use functions. What begins with
-- agi_cells_ makes this database one of several (sql/cells).
SELECT d.drop
  FROM (SELECT 1 AS place, format('DROP TRIGGER %%I ON %%s', t.tgname, t.tgrelid::regclass) AS drop
          FROM pg_catalog.pg_trigger t
          JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
         WHERE c.relnamespace = 'agi_router'::regnamespace AND NOT t.tgisinternal
           AND t.tgname <> ALL (%(triggers)s::name[]) AND NOT starts_with(t.tgname::text, 'agi_cells_')
         UNION ALL
        SELECT 2, format('DROP FUNCTION %%s', p.oid::regprocedure)
          FROM pg_catalog.pg_proc p
         WHERE p.pronamespace = 'agi_router'::regnamespace AND p.proname <> ALL (%(functions)s::name[])
           AND NOT starts_with(p.proname::text, 'agi_cells_')) d
 ORDER BY d.place, d.drop;

-- keep_functions --
-- Note which functions there are, and by which program.
WITH gone AS (
    DELETE FROM agi_router.function WHERE name <> ALL (%(functions)s::text[])
)
UPDATE agi_router.function SET version = %(version)s WHERE name = ANY (%(functions)s::text[]);

-- list_rights --
-- What a role needs that serves and binds, deletes what is past retention, delivers events, reads or signs the audit, or
-- exports days, and whether it has it: no more than is here, and nothing to own. A right in parentheses is one to a column.
SELECT n.kind, n.name, p.privilege,
       CASE n.kind
            WHEN 'schema' THEN has_schema_privilege(%(role)s::name, n.name, p.privilege)
            WHEN 'table' THEN
                 CASE WHEN p.privilege LIKE '%%(%%'
                      THEN has_column_privilege(%(role)s::name, n.name, substring(p.privilege FROM '[(](.*)[)]'),
                                                split_part(p.privilege, ' ', 1))
                      ELSE has_table_privilege(%(role)s::name, n.name, p.privilege) END
            WHEN 'sequence' THEN has_sequence_privilege(%(role)s::name, n.name, p.privilege)
            WHEN 'foreign server' THEN has_server_privilege(%(role)s::name, n.name, p.privilege)
            ELSE has_function_privilege(%(role)s::name, n.name, p.privilege) END AS held
  FROM (VALUES
       ('serve', 'schema', 'agi_router', 'USAGE'),
       ('serve', 'table', 'agi_router.migration', 'SELECT'),
       ('serve', 'table', 'agi_router.function', 'SELECT'),
       ('serve', 'table', 'agi_router.key', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.tenant', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.quota_use', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.bind_use', 'SELECT, INSERT, DELETE'),
       ('serve', 'table', 'agi_router.api_key_use', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.quota_count', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.tenant_check', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.api_key', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.answer', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.nonce', 'SELECT, INSERT, DELETE'),
       ('serve', 'table', 'agi_router.nonce_since', 'SELECT, INSERT'),
       ('serve', 'table', 'agi_router.block', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.pool', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.notice', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.party_group', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.group_member', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.binding', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.route', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.past_route', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.call', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.call_other', 'SELECT'),
       ('serve', 'table', 'agi_router.recording', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.recording_gone', 'SELECT, INSERT, DELETE'),
       ('serve', 'table', 'agi_router.event', 'SELECT, INSERT'),
       ('serve', 'table', 'agi_router.event_other', 'SELECT'),
       ('serve', 'table', 'agi_router.message', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.message_other', 'SELECT'),
       ('serve', 'table', 'agi_router.message_out', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.message_seen', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.message_rule', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.message_link', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.message_part', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.message_sent', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.webhook', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.delivery', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.attempt', 'SELECT, DELETE'),
       ('serve', 'table', 'agi_router.feed', 'SELECT, INSERT, DELETE'),
       ('serve', 'table', 'agi_router.binding_hold', 'SELECT, INSERT, DELETE'),
       ('serve', 'table', 'agi_router.finding', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.feed_pull', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.feed_run', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.feed_body', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.feed_fault', 'SELECT, INSERT'),
       ('serve', 'table', 'agi_router.feed_match', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.audit', 'SELECT, INSERT'),
       ('serve', 'table', 'agi_router.audit_chain', 'SELECT'),
       ('serve', 'table', 'agi_router.audit_head', 'SELECT'),
       ('serve', 'table', 'agi_router.export_day', 'SELECT'),
       ('serve', 'table', 'agi_router.export_wish', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.lock', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.lock_mark', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.blocklist', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.appeal', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.appeal_evidence', 'SELECT, INSERT'),
       ('serve', 'table', 'agi_router.appeal_rebind', 'SELECT, INSERT'),
       ('serve', 'table', 'agi_router.person_mark', 'SELECT, INSERT, UPDATE, DELETE'),
       ('serve', 'table', 'agi_router.new_owner', 'SELECT, INSERT, UPDATE (since)'),
       ('serve', 'table', 'agi_router.consent', 'SELECT, INSERT'),
       ('serve', 'table', 'agi_router.hold', 'SELECT, INSERT, UPDATE (released_by), UPDATE (released_at), UPDATE (release_note)'),
       ('serve', 'table', 'agi_router.kept_call', 'SELECT'),
       ('serve', 'table', 'agi_router.kept_message', 'SELECT'),
       ('serve', 'table', 'agi_router.deletion', 'SELECT'),
       ('serve', 'table', 'agi_router.real_name', 'SELECT, INSERT'),
       ('serve', 'table', 'agi_router.complaint',
        'SELECT, INSERT, UPDATE (dismissed_at), UPDATE (dismissed_by), UPDATE (dismiss_note)'),
       ('serve', 'table', 'agi_router.complaint_caller', 'SELECT, INSERT'),
       ('serve', 'table', 'agi_router.old_number', 'SELECT, INSERT, UPDATE'),
       ('serve', 'table', 'agi_router.node', 'SELECT, INSERT, UPDATE'),
       ('serve', 'sequence', 'agi_router.binding_id', 'USAGE'),
       ('serve', 'sequence', 'agi_router.event_id', 'USAGE'),
       ('serve', 'sequence', 'agi_router.group_version', 'USAGE'),
       ('serve', 'sequence', 'agi_router.lock_id', 'USAGE'),
       ('serve', 'sequence', 'agi_router.appeal_id', 'USAGE'),
       ('serve', 'sequence', 'agi_router.person_id', 'USAGE'),
       ('serve', 'sequence', 'agi_router.webhook_id', 'USAGE'),
       ('serve', 'sequence', 'agi_router.seals', 'SELECT, USAGE'),
       ('serve', 'function', 'agi_router.ensure_days(text, date, date)', 'EXECUTE'),
       ('serve', 'function', 'agi_router.describe_kept()', 'EXECUTE'),
       ('serve', 'function', 'agi_router.step_move(bigint, text)', 'EXECUTE'),
       ('serve', 'function', 'agi_router.undo_move(bigint)', 'EXECUTE'),
       ('serve', 'function', 'agi_router.list_writers(bigint)', 'EXECUTE'),
       ('serve', 'function', 'agi_router.set_cell_away(text, boolean)', 'EXECUTE'),
       ('serve', 'function', 'agi_router.look_at_cell(text)', 'EXECUTE'),
       ('serve', 'function', 'agi_router.look_at_cells(boolean)', 'EXECUTE'),
       ('serve', 'function', 'agi_router.list_visits()', 'EXECUTE'),
       ('serve', 'function', 'agi_router.visit_cell(integer, integer)', 'EXECUTE'),
       ('serve', 'function', 'agi_router.pass_over_cell(integer)', 'EXECUTE'),
       ('retain', 'schema', 'agi_router', 'USAGE'),
       ('retain', 'table', 'agi_router.migration', 'SELECT'),
       ('retain', 'table', 'agi_router.function', 'SELECT'),
       ('retain', 'table', 'agi_router.block', 'SELECT'),
       -- Whoever locks a row before it deletes it needs a right to a column, whichever.
       ('retain', 'table', 'agi_router.deletion', 'SELECT, INSERT, UPDATE'),
       ('retain', 'table', 'agi_router.audit', 'INSERT'),
       ('retain', 'function', 'agi_router.describe_kept()', 'EXECUTE'),
       ('retain', 'function', 'agi_router.keep_held(text, date)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.move_held(text, date)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.detach_day(text, date, text)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.list_day(text, date, bigint, text, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.drop_detached(bigint)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_bindings(bigint, bigint, timestamptz, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_strays(text, date, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_locks(timestamptz, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_blocklist(timestamptz, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_old_numbers(timestamptz, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_told(timestamptz)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_consents(timestamptz, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_complaints(timestamptz, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_recordings(timestamptz, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_real_names(timestamptz, bigint, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_holds(timestamptz, integer)', 'EXECUTE'),
       ('retain', 'function', 'agi_router.delete_persons(bigint, integer)', 'EXECUTE'),
       ('deliver', 'schema', 'agi_router', 'USAGE'),
       ('deliver', 'table', 'agi_router.migration', 'SELECT'),
       ('deliver', 'table', 'agi_router.function', 'SELECT'),
       ('deliver', 'table', 'agi_router.key', 'SELECT'),
       ('deliver', 'sequence', 'agi_router.seals', 'SELECT'),
       ('deliver', 'table', 'agi_router.tenant', 'SELECT'),
       ('deliver', 'table', 'agi_router.binding', 'SELECT'),
       ('deliver', 'table', 'agi_router.route', 'SELECT'),
       ('deliver', 'table', 'agi_router.past_route', 'SELECT'),
       ('deliver', 'table', 'agi_router.event', 'SELECT'),
       ('deliver', 'table', 'agi_router.webhook',
        'SELECT, UPDATE (state), UPDATE (failures), UPDATE (failed_since), UPDATE (retry_at)'),
       ('deliver', 'table', 'agi_router.delivery', 'SELECT, UPDATE (next_at), UPDATE (tries), UPDATE (batch), DELETE'),
       ('deliver', 'table', 'agi_router.attempt', 'SELECT, INSERT, DELETE'),
       ('deliver', 'function', 'agi_router.expire_bindings(integer)', 'EXECUTE'),
       ('deliver', 'function', 'agi_router.list_visits()', 'EXECUTE'),
       ('deliver', 'function', 'agi_router.visit_cell(integer, integer)', 'EXECUTE'),
       ('deliver', 'function', 'agi_router.pass_over_cell(integer)', 'EXECUTE'),
       ('deliver', 'function', 'agi_router.is_batch_due(bigint, integer, integer)', 'EXECUTE'),
       ('deliver', 'function', 'agi_router.tell_trouble(bigint, bigint[])', 'EXECUTE'),
       ('audit', 'schema', 'agi_router', 'USAGE'),
       ('audit', 'table', 'agi_router.migration', 'SELECT'),
       ('audit', 'table', 'agi_router.function', 'SELECT'),
       ('audit', 'table', 'agi_router.audit', 'SELECT'),
       ('audit', 'table', 'agi_router.audit_chain', 'SELECT'),
       ('audit', 'table', 'agi_router.audit_head', 'SELECT'),
       ('audit', 'table', 'agi_router.hold', 'SELECT'),
       ('audit', 'table', 'agi_router.tenant', 'SELECT (id), SELECT (name)'),
       ('audit', 'table', 'agi_router.deletion', 'SELECT'),
       ('audit', 'function', 'agi_router.describe_kept()', 'EXECUTE'),
       ('sign', 'schema', 'agi_router', 'USAGE'),
       ('sign', 'table', 'agi_router.migration', 'SELECT'),
       ('sign', 'table', 'agi_router.function', 'SELECT'),
       ('sign', 'table', 'agi_router.audit', 'SELECT'),
       ('sign', 'table', 'agi_router.audit_chain', 'SELECT, INSERT'),
       ('sign', 'table', 'agi_router.audit_head', 'SELECT, INSERT'),
       ('export', 'schema', 'agi_router', 'USAGE'),
       ('export', 'table', 'agi_router.migration', 'SELECT'),
       ('export', 'table', 'agi_router.function', 'SELECT'),
       ('export', 'table', 'agi_router.key', 'SELECT'),
       ('export', 'sequence', 'agi_router.seals', 'SELECT'),
       ('export', 'table', 'agi_router.tenant', 'SELECT'),
       ('export', 'table', 'agi_router.binding', 'SELECT'),
       ('export', 'table', 'agi_router.route', 'SELECT'),
       ('export', 'table', 'agi_router.past_route', 'SELECT'),
       ('export', 'table', 'agi_router.call', 'SELECT'),
       ('export', 'table', 'agi_router.message', 'SELECT'),
       ('export', 'table', 'agi_router.lock', 'SELECT'),
       ('export', 'table', 'agi_router.consent', 'SELECT'),
       ('export', 'table', 'agi_router.person_mark', 'SELECT'),
       ('export', 'table', 'agi_router.deletion', 'SELECT'),
       ('export', 'table', 'agi_router.audit', 'INSERT'),
       ('export', 'table', 'agi_router.export_day', 'SELECT, INSERT'),
       ('export', 'table', 'agi_router.export_wish', 'SELECT, UPDATE (done_at), UPDATE (failure)'),
       ('export', 'table', 'agi_router.event', 'INSERT'),
       ('export', 'sequence', 'agi_router.event_id', 'USAGE'),
       ('export', 'table', 'agi_router.webhook', 'SELECT (id), SELECT (tenant_id), SELECT (types), SELECT (state)'),
       ('export', 'table', 'agi_router.delivery', 'INSERT')
       -- What runs in other databases (sql/cells) does so with rights of another role.
        UNION ALL
       SELECT 'serve', 'foreign server', s.srvname::text, 'USAGE'
         FROM pg_catalog.pg_foreign_server s WHERE s.srvname = 'agi_cells'
        UNION ALL
       SELECT 'serve', 'function', f.name, 'EXECUTE'
         FROM (VALUES ('agi_router.agi_cells_run_in(integer, text, text[])')) f (name)
        WHERE to_regprocedure(f.name) IS NOT NULL
       ) n (purpose, kind, name, privileges)
 CROSS JOIN LATERAL regexp_split_to_table(n.privileges, ', ') p (privilege)
 WHERE n.purpose = %(purpose)s;

-- list_deletes --
-- Which tables, days of calls among them, a role may delete or truncate rows of.
SELECT p.privilege, 'table' AS kind, format('agi_router.%%I', c.relname) AS name
  FROM pg_catalog.pg_class c
 CROSS JOIN (VALUES ('DELETE'), ('TRUNCATE')) p (privilege)
 WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relkind IN ('r', 'p')
   AND has_table_privilege(%(role)s::name, c.oid, p.privilege)
 ORDER BY c.relispartition, p.privilege, c.relname;

-- grant_right --
-- Give a role one of them.
SELECT agi_router.grant_right(%(role)s, %(kind)s, %(name)s, %(privilege)s);

-- find_role --
-- Whether there is a role, and whether it may do all that the schema's owner may; no row: there is none.
SELECT pg_has_role(r.oid, n.nspowner, 'USAGE') AS owns
  FROM pg_catalog.pg_roles r
 CROSS JOIN pg_catalog.pg_namespace n
 WHERE r.rolname = coalesce(%(role)s::name, current_user) AND n.nspname = 'agi_router';

-- list_granted_roles --
-- The roles that were given these rights, and for what: they may write calls, proofs of deletions, the tries of
-- deliveries, the chain of the audit, or exports, as nobody else but the owner may; or may read that chain and do nothing
-- of this. Who writes calls is given no rights to delete, whatever it has from a time when who served did both.
SELECT p.purpose, r.rolname AS role
  FROM (VALUES ('serve', 'agi_router.call', 'INSERT'), ('retain', 'agi_router.deletion', 'INSERT'),
               ('deliver', 'agi_router.attempt', 'INSERT'),
               ('sign', 'agi_router.audit_chain', 'INSERT'), ('export', 'agi_router.export_day', 'INSERT'),
               ('audit', 'agi_router.audit_chain', 'SELECT')
       ) p (purpose, name, privilege)
  JOIN pg_catalog.pg_class c ON c.oid = p.name::regclass
 CROSS JOIN LATERAL aclexplode(c.relacl) a
  JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
 WHERE a.privilege_type = p.privilege AND a.grantee <> c.relowner
   AND (p.purpose <> 'audit'
        OR NOT has_table_privilege(a.grantee, 'agi_router.call', 'INSERT')
           AND NOT has_table_privilege(a.grantee, 'agi_router.audit_chain', 'INSERT'))
   AND (p.purpose <> 'retain' OR NOT has_table_privilege(a.grantee, 'agi_router.call', 'INSERT'))
 ORDER BY r.rolname;

-- lock_migrations --
-- One migrates at a time; the others wait.
SELECT pg_advisory_lock(7002025);

-- unlock_migrations --
-- Let the next one migrate.
SELECT pg_advisory_unlock(7002025);

-- skip_ids --
-- Leave out some ids of each kind, seals included: those of the time that is lost are counted in no key. A small counter
-- (tenants, pools, feeds) is of what people make by hand, and has no room to spare.
SELECT s.sequencename::text AS name,
       setval(format('%%I.%%I', s.schemaname, s.sequencename)::regclass,
              coalesce(s.last_value, s.start_value) + %(skipped)s) AS id
  FROM pg_sequences s
 WHERE s.schemaname = 'agi_router' AND s.data_type = 'bigint'::regtype
 ORDER BY 1;
