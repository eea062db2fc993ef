CREATE OR REPLACE FUNCTION agi_router.refuse_row(_table text, _name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE check_violation USING
        MESSAGE = format('new row for relation "%s" violates "%s"', _table, _name),
        SCHEMA = 'agi_router', TABLE = _table, CONSTRAINT = _name;
END
$$;
COMMENT ON FUNCTION agi_router.refuse_row IS 'Fails as a CHECK of this name would';
