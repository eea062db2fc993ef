-- A call is named by its Asterisk, so two of them may not have one name: either would give back the other's uses.

CREATE TABLE agi_router.node (
    name text PRIMARY KEY CHECK (length(name) <= 64),
    entity_id text NOT NULL CHECK (length(entity_id) <= 64),
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE agi_router.node IS 'The Asterisks whose calls are kept here; a row is written by whoever reconciles its calls';
COMMENT ON COLUMN agi_router.node.name IS 'systemname of its asterisk.conf, the prefix of its call ids; empty if it has none';
COMMENT ON COLUMN agi_router.node.entity_id IS 'Its entity id, of asterisk.conf or made from a network card; the same for two on one machine';
COMMENT ON COLUMN agi_router.node.started_at IS 'When it started, by its own clock: of two that are alike, a later start than ours is another one';
COMMENT ON COLUMN agi_router.node.seen_at IS 'When a router asked it last; after two minutes of silence its name may be taken';
