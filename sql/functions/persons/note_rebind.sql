CREATE OR REPLACE FUNCTION agi_router.note_rebind(
    _block bigint, _binding_id bigint, _new_block bigint, _new_binding_id bigint, _appeal_id bigint, _rebound_by text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO agi_router.appeal_rebind (appeal_id, block, binding_id, new_block, new_binding_id, tenant_id, rebound_by,
                                          rebound_at)
    -- The new one was made in this transaction, or beside it: the old one is what it knows.
    SELECT _appeal_id, _block, _binding_id, _new_block, _new_binding_id, b.tenant_id, _rebound_by, clock_timestamp()
      FROM agi_router.binding b
     WHERE b.block = _block AND b.id = _binding_id;
    PERFORM agi_router.tell(
                NULL, NULL, b.tenant_id, 'appeal.rebound', NULL,
                jsonb_build_object(
                    'appeal_id', a.id::text, 'lock_id', l.id::text, 'reason', l.reason, 'state', a.state,
                    'order_id', b.order_id,
                    'old_binding_id', _block || '-' || _binding_id,
                    'new_binding_id', _new_block || '-' || _new_binding_id))
       FROM agi_router.appeal a
       JOIN agi_router.lock l ON l.id = a.lock_id
       JOIN agi_router.binding b ON b.block = _block AND b.id = _binding_id
       JOIN agi_router.tenant t ON t.id = b.tenant_id AND 'appeal.rebound' = ANY (t.told)
      WHERE a.id = _appeal_id;
END
$$;
COMMENT ON FUNCTION agi_router.note_rebind IS 'Notes which binding has taken the place of another one as an appeal was upheld, and tells their tenant';
