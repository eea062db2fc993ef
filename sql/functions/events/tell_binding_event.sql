CREATE OR REPLACE FUNCTION agi_router.tell_binding_event() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.tell_binding(NEW.block, NEW.id, TG_ARGV[0]);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.tell_binding_event IS 'Tells of a binding by an event of the type that the trigger gives; its end is told as such, however it came, and not as a change';

CREATE OR REPLACE TRIGGER tell_binding_change
    AFTER UPDATE OF version ON agi_router.binding FOR EACH ROW
    WHEN (NEW.version <> OLD.version AND NEW.ended_at IS NULL AND NEW.parent_id IS NULL)
    EXECUTE FUNCTION agi_router.tell_binding_event('binding.changed');

CREATE OR REPLACE TRIGGER tell_binding_end
    AFTER UPDATE OF ended_at ON agi_router.binding FOR EACH ROW
    WHEN (NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL AND NEW.parent_id IS NULL)
    EXECUTE FUNCTION agi_router.tell_binding_event('binding.ended');
