CREATE OR REPLACE FUNCTION agi_router.end_carried(_block bigint, _binding_id bigint, _version integer, _scope integer)
RETURNS SETOF bigint
LANGUAGE sql AS $$
    SELECT u FROM agi_router.unbind(_block, _binding_id, _version, _scope) u
$$;
COMMENT ON FUNCTION agi_router.end_carried IS 'As agi_router.unbind, within the transaction that holds the binding and binds its parties anew';
