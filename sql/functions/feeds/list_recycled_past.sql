CREATE OR REPLACE FUNCTION agi_router.list_recycled_past(_tags bigint[])
RETURNS TABLE (n bigint, block bigint, id bigint, version integer, mode text, parent_id bigint, y_ttl integer)
LANGUAGE sql STABLE AS $$
    SELECT o.n, b.block, b.id, b.version, b.mode, b.parent_id, b.y_ttl
      FROM (SELECT h.n, h.block, h.binding_id, bool_or(h.placed) AS placed
              FROM (SELECT n.n, r.block, r.binding_id, true AS placed
                      FROM unnest(_tags) WITH ORDINALITY n (tag, n)
                      JOIN agi_router.route r ON r.caller_tag = n.tag
                     UNION ALL
                    SELECT n.n, p.block, p.binding_id, false
                      FROM unnest(_tags) WITH ORDINALITY n (tag, n)
                      JOIN agi_router.past_route p ON p.caller_tag = n.tag) h
             GROUP BY h.n, h.block, h.binding_id) o
      JOIN agi_router.binding b ON b.block = o.block AND b.id = o.binding_id
     WHERE (b.ended_at IS NOT NULL OR b.expires_at <= clock_timestamp()) AND (o.placed OR b.pair_tag IS NOT NULL)
$$;
COMMENT ON FUNCTION agi_router.list_recycled_past IS 'Bindings that are over by which a party with one of these tags is still known; n: the place of the tag';
