CREATE OR REPLACE FUNCTION agi_router.tell_binding(_block bigint, _binding_id bigint, _type text)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    told agi_router.binding;
BEGIN
    -- Where its tenant wants no such events this finds nothing, and that is all.
    UPDATE agi_router.binding b
       SET sequence = b.sequence + 1
      FROM agi_router.tenant t
     WHERE b.block = _block AND b.id = _binding_id AND b.parent_id IS NULL
       AND t.id = b.tenant_id AND _type = ANY (t.told)
    RETURNING b.* INTO told;
    IF FOUND THEN
        PERFORM agi_router.tell(
            _block, _binding_id, told.tenant_id, _type, told.sequence,
            jsonb_build_object(
                'mode', told.mode, 'pool', told.pool, 'state', told.state, 'order_id', told.order_id,
                'out_id', told.out_id, 'user_data', told.user_data,
                'begins_at', told.begins_at, 'expires_at', told.expires_at, 'ended_at', told.ended_at,
                'max_calls', told.max_calls, 'calls_used', told.calls_used));
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.tell_binding IS 'Writes an event of a binding as it stands, if its tenant is told of such; not of a child, which its parent stands for';
