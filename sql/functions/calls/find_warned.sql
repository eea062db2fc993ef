CREATE OR REPLACE FUNCTION agi_router.find_warned(
    _node text, _after text, _before text, _longest integer, _warning integer)
RETURNS TABLE (id text, warned_in double precision)
LANGUAGE sql STABLE AS $$
    SELECT w.id, extract(epoch FROM w.warned_at - now())::double precision
      FROM (SELECT c.id,
                   c.received_at + make_interval(secs => coalesce(b.max_duration, _longest) - _warning) AS warned_at
              FROM agi_router.call c
              JOIN agi_router.binding b ON b.block = c.block AND b.id = c.binding_id
             -- No call lasts for two days, and no other day of calls is looked at.
             WHERE c.state = 'reserved' AND c.day >= (now() AT TIME ZONE 'UTC')::date - 1
               AND c.id COLLATE "C" > _after AND c.id COLLATE "C" < _before
               AND coalesce(substring(c.id FROM '^(.*)-[0-9]+[.][0-9]+$'), '') = _node
               AND coalesce(b.max_duration, _longest) > _warning) w
     WHERE w.warned_at < now() + interval '11 seconds'
       -- Whatever rang before, and was heard: such a call is over, and its end was not seen.
       AND w.warned_at > now() - make_interval(secs => _warning + 900)
$$;
COMMENT ON FUNCTION agi_router.find_warned IS 'Calls of one node that go on and are warned of their end from now on, or within eleven seconds, and in how many seconds that can be at the earliest. Seconds: _longest of bindings that say nothing, _warning before the end';
