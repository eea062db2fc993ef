CREATE OR REPLACE FUNCTION agi_router.mask_change(_value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN _value IS NULL THEN 'null'
                -- Octets are a secret, a sealed number or a digest.
                WHEN _value #>> '{}' LIKE '\\x%' THEN '"sealed"'
                WHEN jsonb_typeof(_value) IN ('number', 'boolean', 'null') THEN _value
                -- The last net: texts are masked where they come in.
                ELSE regexp_replace(_value::text, '(?<![0-9])(1[3-9]([ .()-]{0,3}[0-9]){9}|0[1-9][0-9]{1,2}[ ()-]{0,3}[1-9][0-9]{6,7})(?![0-9])',
                                    '***', 'g')::jsonb END
$$;
COMMENT ON FUNCTION agi_router.mask_change IS 'A value as the audit may show it: no octets, and no real number within a text';
