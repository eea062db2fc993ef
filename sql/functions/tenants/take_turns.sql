CREATE OR REPLACE FUNCTION agi_router.take_turns(_rule integer, _names text[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(_rule, n.place)
       FROM (SELECT DISTINCT hashtext(name) AS place FROM unnest(_names) name ORDER BY 1) n;
END
$$;
COMMENT ON FUNCTION agi_router.take_turns IS 'Waits until it is this transaction''s turn among those who bind by the same orders (_rule 7002041) or the same two (7002042), in one order for all. Who takes several kinds of turns takes them in the order of these numbers';
