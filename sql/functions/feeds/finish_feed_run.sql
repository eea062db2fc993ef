CREATE OR REPLACE FUNCTION agi_router.finish_feed_run(_run_id bigint) RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agi_router.feed_run r
       SET ended_at = statement_timestamp()
     WHERE r.id = _run_id AND r.ended_at IS NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM agi_router.feed_body b WHERE b.run_id = _run_id;
    PERFORM agi_router.tell(
                NULL, NULL, m.tenant_id, 'feed.finished', NULL,
                jsonb_build_object('feed', f.name, 'run', r.id, 'begun_at', r.begun_at, 'matched', m.matched,
                                   'ended', m.ended))
       FROM (SELECT x.tenant_id, count(*) AS matched, count(*) FILTER (WHERE x.outcome = 'ended') AS ended
               FROM agi_router.feed_match x
              WHERE x.run_id = _run_id
              GROUP BY x.tenant_id) m
       JOIN agi_router.tenant t ON t.id = m.tenant_id AND 'feed.finished' = ANY (t.told)
      CROSS JOIN agi_router.feed_run r
       JOIN agi_router.feed f ON f.id = r.feed_id
      WHERE r.id = _run_id;
    RETURN NEXT _run_id;
END
$$;
COMMENT ON FUNCTION agi_router.finish_feed_run IS 'Notes that all of a file is done, deletes it where it was kept, and tells the tenants whose bindings it has met; returns the run, or no row where it was done before';
