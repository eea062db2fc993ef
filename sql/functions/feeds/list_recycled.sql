CREATE OR REPLACE FUNCTION agi_router.list_recycled(_tags bigint[])
RETURNS TABLE (n bigint, block bigint, id bigint, version integer, mode text, parent_id bigint, y_ttl integer)
LANGUAGE sql STABLE AS $$
    SELECT o.n, b.block, b.id, b.version, b.mode, b.parent_id, b.y_ttl
      FROM (SELECT DISTINCT h.n, h.block, h.binding_id
              FROM (SELECT n.n, r.block, r.binding_id
                      FROM unnest(_tags) WITH ORDINALITY n (tag, n)
                      JOIN agi_router.route r ON r.caller_tag = n.tag
                     UNION ALL
                    SELECT n.n, r.block, r.binding_id
                      FROM unnest(_tags) WITH ORDINALITY n (tag, n)
                      JOIN agi_router.route r ON r.callee_tags[1] = n.tag AND r.caller IS NOT NULL) h) o
      JOIN agi_router.binding b ON b.block = o.block AND b.id = o.binding_id
     WHERE b.ended_at IS NULL AND b.expires_at > clock_timestamp()
$$;
COMMENT ON FUNCTION agi_router.list_recycled IS 'Live bindings with a party, or a fixed number to call back, of one of these tags; n: the place of the tag';
