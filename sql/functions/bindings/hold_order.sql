CREATE OR REPLACE FUNCTION agi_router.hold_order(_order_tags bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(o.tag)
       FROM (SELECT tag FROM unnest(_order_tags) t (tag) ORDER BY tag OFFSET 0) o;
END
$$;
COMMENT ON FUNCTION agi_router.hold_order IS 'Waits until nobody else binds the same parties for the same order, and holds that until the end of the transaction. _order_tags: of both, under every key';
