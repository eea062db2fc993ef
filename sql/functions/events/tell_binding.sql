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
            agi_router.describe_binding(
                told.mode, told.pool, told.state, told.order_id, told.out_id, told.user_data, told.begins_at,
                told.expires_at, told.ended_at, told.max_calls, told.calls_used));
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.tell_binding IS 'Writes an event of a binding as it stands, if its tenant is told of such; not of a child, which its parent stands for';
