CREATE OR REPLACE FUNCTION agi_router.mask_change(_value jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    _text text := _value #>> '{}';
BEGIN
    CASE jsonb_typeof(_value)
        WHEN 'object' THEN
            RETURN (SELECT coalesce(jsonb_object_agg(agi_router.mask_change(to_jsonb(o.key)) #>> '{}', agi_router.mask_change(o.value)), '{}')
                      FROM jsonb_each(_value) o);
        WHEN 'array' THEN
            RETURN (SELECT coalesce(jsonb_agg(agi_router.mask_change(e.value) ORDER BY e.place), '[]')
                      FROM jsonb_array_elements(_value) WITH ORDINALITY e (value, place));
        WHEN 'string' THEN
            -- Octets are a secret, a sealed number or a digest.
            IF _text LIKE '\\x%' THEN
                RETURN '"sealed"';
            END IF;
            -- An address without user and query, as address_on_record in agi_router/events/addresses.py has it.
            _text := regexp_replace(_text, '^(https?://)(?:[^/?#]*@)?([^?#]*).*$', '\1\2');
            -- The rules of agi_router/logs.py: texts that people write are not masked where they come in.
            RETURN to_jsonb(regexp_replace(regexp_replace(translate(_text, '０１２３４５６７８９＋', '0123456789+'),
                '(?<![0-9])(?!(?:86|0086)?700[0-9]{12}(?![0-9]))(?!1[6-9][0-9]{11}(?![0-9]))[0-9]*1[3-9][0-9]{9}[0-9]*(?![0-9])', '***', 'g'),
                replace('(?<![0-9])(?:(?:(?:\+_|0_0_)?8_6_)?(?:0_)?(?:1_[3-9](?:_[0-9]){9}|1[3-9][0-9]\.[0-9]{4}\.[0-9]{4})'
                        '|(?:(?:\+_|0_0_)?8_6_(?:0_)?|0_)(?:1_0|2_[0-9]|[3-9](?:_[0-9]){2})_[1-9](?:_[0-9]){6,7})(?![0-9])', '_',
                        '[ \t()\u00a0\u2002-\u200f\u202a-\u202f\u205f\u2060\u3000\u2010-\u2015\u2212\ufe58\ufe63\ufeff\uff08\uff09\uff0d-]{0,3}'),
                '***', 'g'));
        ELSE
            RETURN coalesce(_value, 'null');
    END CASE;
END
$$;
COMMENT ON FUNCTION agi_router.mask_change IS 'A value as the audit may show it: no octets, no user and query of an address, and no real number within a text';
