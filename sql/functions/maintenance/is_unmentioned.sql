CREATE OR REPLACE FUNCTION agi_router.is_unmentioned(_person_id bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT 1 FROM agi_router.consent c WHERE c.person_id = _person_id)
       AND NOT EXISTS (SELECT 1 FROM agi_router.real_name n WHERE n.person_id = _person_id)
       AND NOT EXISTS (SELECT 1 FROM agi_router.hold h WHERE h.person_id = _person_id)
       AND NOT EXISTS (SELECT 1 FROM agi_router.complaint_caller c WHERE c.person_id = _person_id)
$$;
COMMENT ON FUNCTION agi_router.is_unmentioned IS 'Whether nothing is kept of a person of the register: no consent, no real name, no hold and no complaint';
