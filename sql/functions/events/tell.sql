CREATE OR REPLACE FUNCTION agi_router.tell(
    _block bigint, _binding_id bigint, _tenant_id integer, _type text, _sequence integer, _data jsonb)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    _now timestamptz := clock_timestamp();
    _day date := (_now AT TIME ZONE 'UTC')::date;
    _id  bigint := nextval('agi_router.event_id');
BEGIN
    INSERT INTO agi_router.event (id, day, block, binding_id, tenant_id, sequence, at, type, data)
    VALUES (_id, _day, _block, _binding_id, _tenant_id, _sequence, _now, _type, _data);
    INSERT INTO agi_router.delivery (webhook_id, event_id, day, block, binding_id, sequence)
    SELECT w.id, _id, _day, _block, _binding_id, _sequence
      FROM agi_router.webhook w
     WHERE w.tenant_id = _tenant_id AND _type = ANY (w.types) AND w.state <> 'removed';
    RETURN _id;
END
$$;
COMMENT ON FUNCTION agi_router.tell IS 'Writes an event, and what webhooks are owed of it, and returns its id. Whoever asks knows that the tenant is told of such. A webhook that is not sent to gets it when it is resumed';
