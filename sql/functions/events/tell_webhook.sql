CREATE OR REPLACE FUNCTION agi_router.tell_webhook(_webhook_id bigint)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    _id bigint;
BEGIN
    SELECT agi_router.tell(NULL, NULL, w.tenant_id, 'webhook.test', NULL, '{}')
      INTO _id
      FROM agi_router.webhook w
     WHERE w.id = _webhook_id;
    INSERT INTO agi_router.delivery (webhook_id, event_id, day)
    SELECT _webhook_id, e.id, e.day
      FROM agi_router.event e
     WHERE e.id = _id
        ON CONFLICT DO NOTHING;
    RETURN _id;
END
$$;
COMMENT ON FUNCTION agi_router.tell_webhook IS 'Writes an event that is of nothing, for one webhook to see whether it gets there; returns its id';
