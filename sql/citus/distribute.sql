-- What spreads an empty database of agi_router over the workers of Citus, by the block of each row. What of the program
-- runs on it, and what does not: docs/operate-many.md, "Citus".
--
-- A superuser runs it once on the coordinator, as one transaction, behind `agi-router db migrate`. All nodes have
-- citus.enable_unsafe_triggers and citus.allow_nested_distributed_execution on.

-- Tables with a block first in their key: all rows of a block are on one worker.
CREATE TEMP TABLE spread ON COMMIT DROP AS
SELECT c.oid::regclass AS tab
  FROM pg_class c
  JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attname = 'block'
 WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition;

-- Foreign keys come back when each table is what it is to be: on the way they would join tables of different kinds. By
-- name, as Citus puts others in the place of tables.
CREATE TEMP TABLE joined ON COMMIT DROP AS
SELECT k.conrelid::regclass::text AS tab, k.conname AS name, pg_get_constraintdef(k.oid) AS definition
  FROM pg_constraint k
 WHERE k.connamespace = 'agi_router'::regnamespace AND k.contype = 'f' AND k.conparentid = 0;

SET LOCAL client_min_messages = warning;
SET LOCAL citus.multi_shard_modify_mode = sequential;

DO $$
DECLARE
    each  record;
    first regclass;
BEGIN
    FOR each IN SELECT * FROM joined LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', each.tab, each.name);
    END LOOP;
    -- No worker could see to it that another one has no such name.
    ALTER TABLE agi_router.recording DROP CONSTRAINT recording_name_key;
    FOR each IN SELECT * FROM spread ORDER BY tab::text LOOP
        PERFORM create_distributed_table(each.tab, 'block', colocate_with => coalesce(first::text, 'none'));
        first := coalesce(first, each.tab);
    END LOOP;
    -- Whole on each node: what is asked of a block looks at them there. All others stay on the coordinator.
    FOR each IN SELECT format('agi_router.%I', n)::regclass AS tab
                  FROM unnest(ARRAY['blocklist', 'consent', 'lock_mark', 'message_rule', 'new_owner', 'person_mark', 'tenant',
                                    'tenant_check', 'webhook']) n LOOP
        PERFORM create_reference_table(each.tab);
    END LOOP;
    FOR each IN SELECT * FROM joined LOOP
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', each.tab, each.name, each.definition);
    END LOOP;
END
$$;
