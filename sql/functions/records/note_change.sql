CREATE OR REPLACE FUNCTION agi_router.note_change() RETURNS trigger
LANGUAGE plpgsql AS $$
-- What is changed by hand is seldom changed, so what this takes is of no matter. It ends with the transaction.
DECLARE
    _before CONSTANT jsonb := to_jsonb(OLD);
    _after  CONSTANT jsonb := to_jsonb(NEW);
    _row    CONSTANT jsonb := coalesce(_after, _before);
    _which  CONSTANT text := concat_ws('/', TG_TABLE_NAME, _row ->> TG_ARGV[0], _row ->> TG_ARGV[1]);
    _things CONSTANT text[] := coalesce(nullif(current_setting('agi_router.changed', true), ''), '{}');
    _name   text;
    _noted  jsonb;
    _said   record;
BEGIN
    -- A file of thousands says how many, by its own row, and each of them is to cost next to nothing here.
    IF cardinality(_things) >= 20 AND _which <> ALL (_things) THEN
        RETURN NULL;
    END IF;
    _name := TG_TABLE_NAME || ' ' || concat_ws('/', agi_router.mask_change(_row -> TG_ARGV[0]) #>> '{}',
                                               agi_router.mask_change(_row -> TG_ARGV[1]) #>> '{}');
    _noted := coalesce(nullif(current_setting('agi_router.changes', true), ''), '{"before": {}, "after": {}}')::jsonb;
    SELECT jsonb_object_agg(k.name, k.before) FILTER (WHERE k.before <> 'null') AS before,
           jsonb_object_agg(k.name, k.after) FILTER (WHERE _after IS NOT NULL AND (k.after <> 'null' OR _before IS NOT NULL)) AS after
      INTO _said
      FROM (SELECT coalesce(b.key, a.key) AS name,
                   agi_router.mask_change(b.value) AS before, agi_router.mask_change(a.value) AS after
              FROM jsonb_each(_before) b
              FULL JOIN jsonb_each(_after) a ON a.key = b.key
             WHERE b.value IS DISTINCT FROM a.value) k;
    IF coalesce(_said.before, _said.after) IS NOT NULL AND _which <> ALL (_things) THEN
        PERFORM set_config('agi_router.changed', (_things || _which)::text, true);
    END IF;
    IF _said.before IS NOT NULL THEN
        -- What stood before the first change.
        _noted := jsonb_set(_noted, ARRAY['before', _name], _said.before || coalesce(_noted #> ARRAY['before', _name], '{}'));
    END IF;
    IF _said.after IS NOT NULL THEN
        _noted := jsonb_set(_noted, ARRAY['after', _name], coalesce(_noted #> ARRAY['after', _name], '{}') || _said.after);
    END IF;
    PERFORM set_config('agi_router.changes', _noted::text, true);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.note_change IS 'Keeps what a transaction changes in a table, for its row of the audit, see agi_router.take_changes. Arguments: the columns that name a row';

CREATE OR REPLACE TRIGGER note_tenant
    AFTER INSERT OR UPDATE ON agi_router.tenant FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('name');

CREATE OR REPLACE TRIGGER note_api_key
    AFTER INSERT OR UPDATE OF label, scopes, networks, state, expires_at, max_binds, max_requests ON agi_router.api_key FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('id');

CREATE OR REPLACE TRIGGER note_block
    AFTER INSERT OR UPDATE ON agi_router.block FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('block');

CREATE OR REPLACE TRIGGER note_pool
    AFTER INSERT OR UPDATE OR DELETE ON agi_router.pool FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('tenant_id', 'name');

CREATE OR REPLACE TRIGGER note_party_group
    AFTER INSERT OR UPDATE OR DELETE ON agi_router.party_group FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('tenant_id', 'name');

CREATE OR REPLACE TRIGGER note_lock
    AFTER INSERT OR UPDATE OF note, ends_at, over_at ON agi_router.lock FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('id');

CREATE OR REPLACE TRIGGER note_blocklist
    AFTER INSERT OR UPDATE OF ends_at, over_at ON agi_router.blocklist FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('id');

CREATE OR REPLACE TRIGGER note_appeal
    AFTER INSERT OR UPDATE OF state, deadline_at ON agi_router.appeal FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('id');

CREATE OR REPLACE TRIGGER note_complaint
    AFTER UPDATE OF dismissed_at ON agi_router.complaint FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('id');

CREATE OR REPLACE TRIGGER note_hold
    AFTER INSERT OR UPDATE OF released_at ON agi_router.hold FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('id');

CREATE OR REPLACE TRIGGER note_feed
    AFTER INSERT OR UPDATE OR DELETE ON agi_router.feed FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('name');

CREATE OR REPLACE TRIGGER note_webhook
    AFTER INSERT OR UPDATE OF url, types, format, numbers, batch, batch_wait, secret, state ON agi_router.webhook FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('id');

CREATE OR REPLACE TRIGGER note_tenant_check
    AFTER INSERT OR UPDATE OR DELETE ON agi_router.tenant_check FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('tenant_id');

CREATE OR REPLACE TRIGGER note_message_rule
    AFTER INSERT OR UPDATE OR DELETE ON agi_router.message_rule FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('tenant_id');

CREATE OR REPLACE TRIGGER note_message_link
    AFTER UPDATE OF drained ON agi_router.message_link FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('name');

CREATE OR REPLACE TRIGGER note_key
    AFTER UPDATE OF state ON agi_router.key FOR EACH ROW
    EXECUTE FUNCTION agi_router.note_change('kind', 'id');
