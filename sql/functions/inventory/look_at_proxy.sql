CREATE OR REPLACE FUNCTION agi_router.look_at_proxy()
RETURNS TABLE (migrations text[], functions text[], uncomposed text[], unconnected text[], unpublished text[])
LANGUAGE sql STABLE AS $$
    SELECT NULL::text[], NULL::text[], NULL::text[], NULL::text[], NULL::text[] WHERE false
$$;
COMMENT ON FUNCTION agi_router.look_at_proxy IS 'Whether this database asks those behind it as it should; nothing where all is in this one';
