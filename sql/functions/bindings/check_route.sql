CREATE OR REPLACE FUNCTION agi_router.check_route() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    _fault CONSTANT text := agi_router.fault_of_route(
        NEW.block, NEW.x_number, NEW.shown, NEW.side, NEW.last_callee, NEW.last_at);
BEGIN
    IF _fault IS NOT NULL THEN
        PERFORM agi_router.refuse_row(TG_TABLE_NAME, _fault);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.check_route IS 'Refuses what a route may not become; what it may not be from the beginning, agi_router.check_new_routes does';

CREATE OR REPLACE TRIGGER route_sound
    AFTER UPDATE OF block, x_number, shown, side, last_callee, last_at
    ON agi_router.route FOR EACH ROW EXECUTE FUNCTION agi_router.check_route();
COMMENT ON TRIGGER route_sound ON agi_router.route IS 'What a route may become';
