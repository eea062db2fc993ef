CREATE OR REPLACE FUNCTION agi_router.state_consents(
    _tenant_id integer, _people jsonb, _order_id text, _how text, _binding text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO agi_router.consent (
        tenant_id, person_id, act, purpose, order_id, how, at, binding, added_at, added_by)
    SELECT _tenant_id, unnest(agi_router.add_persons(_people)), 'given', 'binding', _order_id, _how, clock_timestamp(),
           _binding, clock_timestamp(), 'the tenant, with the bind';
END
$$;
COMMENT ON FUNCTION agi_router.state_consents IS 'Writes down that people agree, as their tenant states it with a bind. _people: see agi_router.add_persons';
