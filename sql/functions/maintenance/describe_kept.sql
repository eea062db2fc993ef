CREATE OR REPLACE FUNCTION agi_router.describe_kept() RETURNS TABLE (kind text, oldest date, rows bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Rows as PostgreSQL last estimated them: a count would read tables of any size.
    WITH size AS (
        SELECT coalesce(i.inhparent, c.oid) AS oid, sum(greatest(c.reltuples, 0))::bigint AS rows
          FROM pg_class c
          LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
         WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relkind = 'r'
         GROUP BY 1
    ), days AS (
        SELECT i.inhparent AS oid, min(to_date(right(c.relname, 8), 'YYYYMMDD')) AS oldest
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relname ~ '_[0-9]{8}$'
         GROUP BY 1
    ), oldest AS (
        SELECT 'binding' AS kind, min(f.ended_at) AS at
          FROM agi_router.block k
         CROSS JOIN LATERAL (
               SELECT b.ended_at FROM agi_router.binding b WHERE b.block = k.block ORDER BY b.block, b.id LIMIT 1) f
         UNION ALL SELECT 'lock', min(l.over_at) FROM agi_router.lock l WHERE l.over_at IS NOT NULL
         UNION ALL SELECT 'blocklist', min(l.over_at) FROM agi_router.blocklist l WHERE l.over_at IS NOT NULL
         UNION ALL SELECT 'consent', min(c.added_at) FROM agi_router.consent c WHERE c.act = 'withdrawn'
         UNION ALL SELECT 'feed', min(r.begun_at) FROM agi_router.feed_run r
         UNION ALL SELECT 'audit', min(a.at) FROM agi_router.audit a
    )
    SELECT n.kind, coalesce(d.oldest, (o.at AT TIME ZONE 'UTC')::date), coalesce(s.rows, 0)
      FROM (VALUES ('binding', 'binding'), ('call', 'call'), ('message', 'message'), ('event', 'event'), ('lock', 'lock'),
                   ('blocklist', 'blocklist'), ('consent', 'consent'), ('feed', 'feed_match'), ('audit', 'audit')
           ) n (kind, name)
      LEFT JOIN size s ON s.oid = format('agi_router.%I', n.name)::regclass
      LEFT JOIN days d ON d.oid = format('agi_router.%I', n.name)::regclass
      LEFT JOIN oldest o ON o.kind = n.kind
$$;
COMMENT ON FUNCTION agi_router.describe_kept IS 'Of each kind that retention looks after: the oldest day that is kept, null where nothing is over, and about how many rows there are';
REVOKE EXECUTE ON FUNCTION agi_router.describe_kept FROM PUBLIC;
