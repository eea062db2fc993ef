CREATE OR REPLACE FUNCTION agi_router.keep_route_ends() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agi_router.route
       SET ends_at = coalesce(NEW.ended_at, NEW.expires_at)
     WHERE block = NEW.block AND binding_id = NEW.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.keep_route_ends IS 'Tells the routes of a binding when it ends';

CREATE OR REPLACE TRIGGER keep_route_ends
    AFTER UPDATE OF expires_at, ended_at ON agi_router.binding FOR EACH ROW
    WHEN (coalesce(NEW.ended_at, NEW.expires_at) <> coalesce(OLD.ended_at, OLD.expires_at))
    EXECUTE FUNCTION agi_router.keep_route_ends();
