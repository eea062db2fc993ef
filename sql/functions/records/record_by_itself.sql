CREATE OR REPLACE FUNCTION agi_router.record_by_itself(_act text, _what text, _ids bigint[], _reason text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO agi_router.audit (uid, name, effective_uid, host, act, subject, reason)
    SELECT -1, 'by itself', -1, 'database', _act, _what || ' ' || i, _reason FROM unnest(_ids) i ORDER BY i
$$;
COMMENT ON FUNCTION agi_router.record_by_itself IS 'Writes into the audit what nobody has done in particular: of each of these ids that it was ended by its time, by a feed or by a count. _what: what the ids are of';
