CREATE OR REPLACE FUNCTION agi_router.tell_binding_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.tell_binding(NEW.block, NEW.id, 'binding.changed');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.tell_binding_change IS 'Tells that somebody has said anew what is agreed for a binding; its end is told as such';

CREATE OR REPLACE TRIGGER tell_binding_change
    AFTER UPDATE OF version ON agi_router.binding FOR EACH ROW
    WHEN (NEW.version <> OLD.version AND NEW.ended_at IS NULL AND NEW.parent_id IS NULL)
    EXECUTE FUNCTION agi_router.tell_binding_change();
