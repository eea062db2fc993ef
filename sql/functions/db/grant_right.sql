CREATE OR REPLACE FUNCTION agi_router.grant_right(_role name, _kind text, _name text, _privilege text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT %s ON %s %s TO %I', _privilege, _kind, _name, _role);
END
$$;
COMMENT ON FUNCTION agi_router.grant_right IS 'Gives a role one of the rights that list_rights of sql/queries/db.sql names; with the rights of whoever asks';
REVOKE EXECUTE ON FUNCTION agi_router.grant_right FROM PUBLIC;
