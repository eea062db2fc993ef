CREATE OR REPLACE FUNCTION agi_router.record_export(
    _day date, _sequence integer, _records jsonb, _numbers text, _recipient text, _manifest bytea, _signed text,
    _tenants jsonb)
RETURNS SETOF integer
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO agi_router.export_day (day, sequence, records, numbers, recipient, manifest, signed)
    VALUES (_day, _sequence, _records, _numbers, _recipient, _manifest, _signed)
        ON CONFLICT (day, manifest) DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM agi_router.tell(
                NULL, NULL, t.id, 'export.finished', NULL,
                jsonb_build_object('day', _day, 'sequence', _sequence, 'numbers', _numbers, 'records', n.records))
       FROM jsonb_each(_tenants) n (name, records)
       JOIN agi_router.tenant t ON t.name = n.name AND 'export.finished' = ANY (t.told);
    RETURN NEXT _sequence;
END
$$;
COMMENT ON FUNCTION agi_router.record_export IS 'Writes down that a package was made, and tells the tenants that have records in it how many of each kind; _tenants: these, by name and kind. Returns its sequence, or no row where it was written down before';
