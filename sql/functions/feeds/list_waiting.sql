CREATE OR REPLACE FUNCTION agi_router.list_waiting(_tags bigint[])
RETURNS TABLE (n bigint, block bigint, id bigint, version integer, mode text, parent_id bigint, y_ttl integer)
LANGUAGE sql STABLE AS $$
    SELECT n.n, b.block, b.id, b.version, b.mode, b.parent_id, b.y_ttl
      FROM unnest(_tags) WITH ORDINALITY n (tag, n)
      JOIN agi_router.binding_hold h ON h.tag = n.tag
      JOIN agi_router.binding b ON b.block = h.block AND b.id = h.binding_id
     WHERE b.state = 'held' AND b.expires_at > clock_timestamp()
$$;
COMMENT ON FUNCTION agi_router.list_waiting IS 'Bindings that wait to learn whose number a party with one of these tags has; n: the place of the tag';
