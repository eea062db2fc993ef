CREATE OR REPLACE FUNCTION agi_router.find_real_names(_person_ids bigint[], _places integer[], _tenant_id integer)
RETURNS TABLE (place integer, status text, source text, checked_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (l.place) l.place, l.status, l.source, l.checked_at
      FROM (SELECT DISTINCT ON (p.place, n.tenant_id) p.place, n.tenant_id, n.status, n.source, n.checked_at
              FROM unnest(_person_ids, _places) p (person_id, place)
              JOIN agi_router.real_name n ON n.person_id = p.person_id
              LEFT JOIN agi_router.new_owner w ON w.person_id = p.person_id
             WHERE (n.tenant_id IS NULL OR n.tenant_id = _tenant_id)
               AND (w.since IS NULL OR n.checked_at >= w.since)
             ORDER BY p.place, n.tenant_id, n.id DESC) l
     -- What the operator knows comes first; where he knows nothing, the tenant speaks for itself.
     ORDER BY l.place, (l.tenant_id IS NULL AND l.status <> 'unknown') DESC, l.tenant_id
$$;
COMMENT ON FUNCTION agi_router.find_real_names IS 'Whether some persons are known by their real name, to a tenant, or to the operator (null); no row: nothing was said since the number has its owner of today. _places: which person an id is of, who may have several';
