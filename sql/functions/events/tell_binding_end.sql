CREATE OR REPLACE FUNCTION agi_router.tell_binding_end() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.tell_binding(NEW.block, NEW.id, 'binding.ended');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.tell_binding_end IS 'Tells that a binding has ended, however it did';

CREATE OR REPLACE TRIGGER tell_binding_end
    AFTER UPDATE OF ended_at ON agi_router.binding FOR EACH ROW
    WHEN (NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL AND NEW.parent_id IS NULL)
    EXECUTE FUNCTION agi_router.tell_binding_end();
