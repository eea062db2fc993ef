CREATE OR REPLACE FUNCTION agi_router.hold_rules(
    _consents integer[], _orders text[], _pairs text[], _counted integer[], _several boolean)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7002043, n.tenant_id)
       FROM (SELECT DISTINCT tenant_id FROM unnest(_consents) tenant_id ORDER BY 1) n;
    PERFORM agi_router.take_turns(7002041, _orders);
    PERFORM agi_router.take_turns(7002042, _pairs);
    PERFORM pg_advisory_xact_lock(7002045, n.tenant_id)
       FROM (SELECT DISTINCT tenant_id FROM unnest(_counted) tenant_id ORDER BY 1) n;
    IF _several THEN
        PERFORM pg_advisory_xact_lock(7002044);
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.hold_rules IS 'Takes at once, in the order of all, whatever a transaction that makes many bindings would take as it makes one after the other: two that bind the same in another order would wait in a circle. _consents: tenants whose parties agree; _orders, _pairs: see agi_router.take_turns; _counted: tenants whose binds are counted one by one, by rates; _several: whether several of its tenants have quotas: of such there is one at a time';
