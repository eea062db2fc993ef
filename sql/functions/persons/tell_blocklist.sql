CREATE OR REPLACE FUNCTION agi_router.tell_blocklist(_id bigint, _type text) RETURNS void
LANGUAGE sql AS $$
    SELECT agi_router.tell(
               NULL, NULL, t.id, _type, NULL,
               jsonb_build_object(
                   'entry_id', e.id::text, 'scope', CASE WHEN e.other_key IS NULL THEN 'tenant' ELSE 'pair' END,
                   'direction', e.direction, 'note', e.note, 'added_at', e.added_at, 'ends_at', e.ends_at,
                   'over_at', e.over_at))
      FROM agi_router.blocklist e
      JOIN agi_router.tenant t ON t.id = e.tenant_id AND _type = ANY (t.told)
     WHERE e.id = _id
$$;
COMMENT ON FUNCTION agi_router.tell_blocklist IS 'Tells the tenant for which alone an entry of the block lists is of it; of those that hold for all tenants nobody is told';
