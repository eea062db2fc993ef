CREATE OR REPLACE FUNCTION agi_router.list_reserved(_node text, _after text, _before text, _limit bigint)
RETURNS TABLE (id text, block bigint, day date, x_number bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.id, c.block, c.day, c.x_number
      FROM agi_router.call c
     WHERE c.state = 'reserved'
       AND c.id COLLATE "C" > _after AND c.id COLLATE "C" < _before
       -- All before Asterisk's own part of the id: a node's name may begin like another's.
       AND coalesce(substring(c.id FROM '^(.*)-[0-9]+[.][0-9]+$'), '') = _node
     ORDER BY c.id COLLATE "C"
     LIMIT _limit
$$;
COMMENT ON FUNCTION agi_router.list_reserved IS 'Calls of one node that are not settled, in the order of their ids: running, or their end was not seen. From the index call_reserved, which holds no others';
