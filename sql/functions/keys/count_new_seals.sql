CREATE OR REPLACE FUNCTION agi_router.count_new_seals() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agi_router.count_seals((SELECT count(callee) + count(caller) FROM fresh));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.count_new_seals IS 'Counts the sealed values of new routes';

CREATE OR REPLACE TRIGGER route_seals AFTER INSERT ON agi_router.route
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION agi_router.count_new_seals();
