CREATE OR REPLACE FUNCTION agi_router.is_verified(_tenant_id integer, _tags bigint[], _digests bytea[])
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT f.status = 'yes'
          FROM (SELECT array_agg(m.person_id) AS ids
                  FROM agi_router.person_mark m
                 WHERE m.tag = ANY (_tags) AND m.digest = ANY (_digests)) k
         CROSS JOIN LATERAL agi_router.find_real_names(
                    k.ids, array_fill(0, ARRAY[coalesce(cardinality(k.ids), 0)]), _tenant_id) f), false)
$$;
COMMENT ON FUNCTION agi_router.is_verified IS 'Whether the person who has one of these digests is known by its real name, to a tenant';
