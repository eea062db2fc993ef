CREATE OR REPLACE FUNCTION agi_router.list_moments(_block bigint, _binding_id bigint)
RETURNS TABLE (at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT r.begins_at
      FROM agi_router.route r
     WHERE r.block = _block AND r.binding_id = _binding_id
    UNION
    SELECT unnest(ARRAY[p.begins_at, p.ends_at])
      FROM agi_router.past_route p
     WHERE p.block = _block AND p.binding_id = _binding_id
$$;
COMMENT ON FUNCTION agi_router.list_moments IS 'The times at which the parties of a binding may have changed';
