CREATE OR REPLACE FUNCTION agi_router.describe_load()
RETURNS TABLE (bindings bigint, calls_up bigint, calls_lately bigint, size bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT (SELECT count(*) FROM agi_router.binding b WHERE b.ended_at IS NULL AND b.expires_at > now()),
           (SELECT count(*) FROM agi_router.call c WHERE c.state = 'reserved'),
           -- By the index of a tenant's calls: a day has millions.
           (SELECT coalesce(sum(n.calls), 0)::bigint
              FROM agi_router.tenant t
             CROSS JOIN LATERAL (
                   SELECT count(*) AS calls
                     FROM agi_router.call c
                    WHERE c.tenant_id = t.id AND c.received_at > now() - interval '1 minute'
                      AND c.day >= (now() AT TIME ZONE 'UTC')::date - 1) n),
           pg_database_size(current_database());
END
$$;
COMMENT ON FUNCTION agi_router.describe_load IS 'What there is to do in this database: bindings that live, calls that are up, calls of tenants within the last minute; and how large it is';
