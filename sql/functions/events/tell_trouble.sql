CREATE OR REPLACE FUNCTION agi_router.tell_trouble(_webhook_id bigint, _held bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    _tenant_id integer;
    _state text;
    _told text[];
    _type text;
    _data jsonb;
    _id bigint;
BEGIN
    SELECT w.tenant_id, w.state, t.told
      INTO _tenant_id, _state, _told
      FROM agi_router.webhook w
      JOIN agi_router.tenant t ON t.id = w.tenant_id
     WHERE w.id = _webhook_id AND w.state <> 'removed';
    _data := jsonb_build_object(
        'webhook_id', _webhook_id::text, 'state', _state,
        'events', (SELECT coalesce(jsonb_agg('evt_' || h.id ORDER BY h.id), '[]') FROM unnest(_held) h (id)));
    FOREACH _type IN ARRAY ARRAY['webhook.held', 'webhook.off'] LOOP
        IF _type = ANY (_told)
           AND (_type = 'webhook.off' AND _state IN ('failed', 'gone') OR _type = 'webhook.held' AND _held <> '{}') THEN
            _id := agi_router.tell(NULL, NULL, _tenant_id, _type, NULL, _data);
            -- The webhook itself takes nothing at the moment, and would be told of what it was not told of.
            DELETE FROM agi_router.delivery d WHERE d.webhook_id = _webhook_id AND d.event_id = _id;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION agi_router.tell_trouble IS 'Tells the tenant of a webhook that it was switched off, if it was, and which events are held because of it, if any; with the rights of the owner: whoever delivers events writes no others. The webhook itself is not told';
REVOKE EXECUTE ON FUNCTION agi_router.tell_trouble FROM PUBLIC;
