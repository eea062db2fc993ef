CREATE OR REPLACE FUNCTION agi_router.sealed_otherwise(_sealed bytea, _headers bytea[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(_sealed FROM 1 FOR 3) <> ALL (_headers)
$$;
COMMENT ON FUNCTION agi_router.sealed_otherwise IS 'Whether a sealed value has none of these headers; null for null';
