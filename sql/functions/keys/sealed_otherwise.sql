CREATE OR REPLACE FUNCTION agi_router.sealed_otherwise(_sealed bytea, _header bytea) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(_sealed FROM 1 FOR 3) <> _header
$$;
COMMENT ON FUNCTION agi_router.sealed_otherwise IS 'Whether a sealed value begins otherwise than with this header; null for null';
