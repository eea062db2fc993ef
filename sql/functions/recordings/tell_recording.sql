CREATE OR REPLACE FUNCTION agi_router.tell_recording() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    _type text := CASE NEW.state WHEN 'missing' THEN 'recording.missing' WHEN 'deleted' THEN 'recording.deleted'
                                 ELSE 'recording.kept' END;
    told agi_router.binding;
BEGIN
    UPDATE agi_router.binding b
       SET sequence = b.sequence + 1
      FROM agi_router.tenant t
     WHERE b.block = NEW.block AND b.id = NEW.binding_id AND t.id = b.tenant_id AND _type = ANY (t.told)
    RETURNING b.* INTO told;
    IF FOUND THEN
        PERFORM agi_router.tell(
            NEW.block, told.id, told.tenant_id, _type, told.sequence,
            jsonb_build_object(
                'call_id', NEW.call_id, 'x_number', NEW.x_number::text, 'state', NEW.state, 'gap', NEW.gap,
                'begun_at', NEW.begun_at, 'length_ms', NEW.length_ms,
                'received_at', (SELECT c.received_at
                                  FROM agi_router.call c
                                 WHERE c.block = NEW.block AND c.id = NEW.call_id AND c.day = NEW.day),
                'mode', told.mode, 'pool', told.pool, 'order_id', told.order_id, 'out_id', told.out_id, 'user_data', told.user_data));
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.tell_recording IS 'Writes an event of a recording as it stands, if the tenant of its binding is told of such; never its name or its key';

CREATE OR REPLACE TRIGGER tell_recording
    AFTER INSERT ON agi_router.recording FOR EACH ROW
    WHEN (NEW.binding_id IS NOT NULL)
    EXECUTE FUNCTION agi_router.tell_recording();

CREATE OR REPLACE TRIGGER tell_recording_change
    AFTER UPDATE OF state ON agi_router.recording FOR EACH ROW
    WHEN (NEW.binding_id IS NOT NULL AND NEW.state <> OLD.state)
    EXECUTE FUNCTION agi_router.tell_recording();
