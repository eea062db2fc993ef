CREATE OR REPLACE FUNCTION agi_router.describe_kept() RETURNS TABLE (kind text, oldest date, rows bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    -- Rows as PostgreSQL last estimated them: a count would read tables of any size.
    WITH size AS (
        SELECT coalesce(i.inhparent, c.oid) AS oid,
               -- Nobody has counted where a server has just begun, and nobody analysed what is small or new.
               sum(coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)))::bigint AS rows
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
        -- A child goes with its parent.
        SELECT 'binding' AS kind, min(b.ended_at) AS at
          FROM agi_router.binding b
         WHERE b.ended_at IS NOT NULL AND b.parent_id IS NULL
         UNION ALL SELECT 'lock', min(l.over_at) FROM agi_router.lock l WHERE l.over_at IS NOT NULL
         UNION ALL SELECT 'blocklist', min(l.over_at) FROM agi_router.blocklist l WHERE l.over_at IS NOT NULL
         UNION ALL
        -- What stays behind a consent for all orders is not over.
        SELECT 'consent', min(w.added_at)
          FROM agi_router.consent w
         WHERE w.act = 'withdrawn'
           AND (w.order_id IS NULL
                OR NOT EXISTS (SELECT 1
                                 FROM agi_router.consent g
                                WHERE g.person_id = w.person_id AND g.tenant_id = w.tenant_id AND g.purpose = w.purpose
                                  AND g.id < w.id AND g.act = 'given' AND g.order_id IS NULL))
         UNION ALL SELECT 'complaint', min(c.added_at) FROM agi_router.complaint c
         UNION ALL SELECT 'hold', min(h.released_at) FROM agi_router.hold h
         UNION ALL SELECT 'recording', min(r.day)::timestamp AT TIME ZONE 'UTC' FROM agi_router.recording r
         UNION ALL
        SELECT 'real_name', min(l.added_at)
          FROM agi_router.real_name l
         WHERE EXISTS (SELECT 1
                         FROM agi_router.real_name n
                        WHERE n.person_id = l.person_id AND n.tenant_id IS NOT DISTINCT FROM l.tenant_id
                          AND n.id < l.id AND n.checked_at <= l.checked_at)
         UNION ALL
        -- The runs themselves stay.
        SELECT 'feed', min(r.begun_at)
          FROM agi_router.feed_run r
         WHERE EXISTS (SELECT 1 FROM agi_router.feed_match m WHERE m.run_id = r.id)
            OR EXISTS (SELECT 1 FROM agi_router.feed_fault f WHERE f.run_id = r.id)
         UNION ALL SELECT 'old_number', min(n.moved_at) FROM agi_router.old_number n
         UNION ALL SELECT 'audit', min(a.at) FROM agi_router.audit a
    )
    SELECT n.kind, coalesce(d.oldest, (o.at AT TIME ZONE 'UTC')::date), coalesce(s.rows, 0)
      FROM (VALUES ('binding', 'binding'), ('call', 'call'), ('recording', 'recording'), ('message', 'message'), ('event', 'event'), ('lock', 'lock'),
                   ('blocklist', 'blocklist'), ('consent', 'consent'), ('complaint', 'complaint'), ('real_name', 'real_name'),
                   ('hold', 'hold'), ('person', 'person_mark'), ('feed', 'feed_match'), ('old_number', 'old_number'), ('audit', 'audit')
           ) n (kind, name)
      LEFT JOIN size s ON s.oid = format('agi_router.%I', n.name)::regclass
      LEFT JOIN days d ON d.oid = format('agi_router.%I', n.name)::regclass
      LEFT JOIN oldest o ON o.kind = n.kind
$$;
COMMENT ON FUNCTION agi_router.describe_kept IS 'Of each kind that retention looks after: the oldest day that is kept, null where nothing is over, and about how many rows there are';
REVOKE EXECUTE ON FUNCTION agi_router.describe_kept FROM PUBLIC;
