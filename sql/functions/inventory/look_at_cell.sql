CREATE OR REPLACE FUNCTION agi_router.look_at_cell(_name text)
RETURNS TABLE (number integer, version integer, migrations text[], functions text[], subscriptions integer, enabled boolean,
               works boolean, heard_ago double precision, names text, followers bigint, waited_for bigint, lag interval,
               idle_slots text[], lost_slots text[], faults text[])
LANGUAGE sql STABLE AS $$
    SELECT NULL::integer, NULL::integer, NULL::text[], NULL::text[], NULL::integer, NULL::boolean, NULL::boolean,
           NULL::double precision, NULL::text, NULL::bigint, NULL::bigint, NULL::interval, NULL::text[], NULL::text[],
           NULL::text[]
     WHERE false
$$;
COMMENT ON FUNCTION agi_router.look_at_cell IS 'What a database behind this one says of itself; nothing where all is in this database';
REVOKE EXECUTE ON FUNCTION agi_router.look_at_cell FROM PUBLIC;
