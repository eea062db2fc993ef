CREATE OR REPLACE FUNCTION agi_router.end_children() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agi_router.binding c
       SET state = NEW.state, ended_at = NEW.ended_at
     WHERE c.block = NEW.block AND c.parent_id = NEW.id AND c.ended_at IS NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.end_children IS 'Ends the children of a binding with it';

CREATE OR REPLACE TRIGGER binding_end AFTER UPDATE OF ended_at ON agi_router.binding
    FOR EACH ROW WHEN (NEW.y_ttl IS NOT NULL AND NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL)
    EXECUTE FUNCTION agi_router.end_children();
