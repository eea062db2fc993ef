CREATE OR REPLACE FUNCTION agi_router.sealed_with(_sealed bytea, _key smallint) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(_sealed FROM 2 FOR 1) = substring(int2send(_key) FROM 2)
$$;
COMMENT ON FUNCTION agi_router.sealed_with IS 'Whether a value was sealed with a key of this id; null: there is no value';
