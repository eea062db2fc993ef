CREATE OR REPLACE FUNCTION agi_router.take_changes() RETURNS TABLE (before jsonb, after jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    _noted CONSTANT jsonb := nullif(current_setting('agi_router.changes', true), '')::jsonb;
BEGIN
    IF _noted IS NOT NULL THEN
        PERFORM set_config('agi_router.changes', '', true), set_config('agi_router.changed', '', true);
    END IF;
    RETURN QUERY SELECT nullif(_noted -> 'before', '{}'), nullif(_noted -> 'after', '{}');
END
$$;
COMMENT ON FUNCTION agi_router.take_changes IS 'What agi_router.note_change has kept in this transaction, once: what stood before, and what stands now, by kind and name';
