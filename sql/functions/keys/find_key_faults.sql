CREATE OR REPLACE FUNCTION agi_router.find_key_faults(_tag_key integer, _seal_key integer)
RETURNS TABLE (rotated boolean)
LANGUAGE sql STABLE AS $$
-- It finds a row only where something is wrong, which is half of what telling all rows costs. Nonces are random: see
-- agi_router/keys/ring.py.
    SELECT k.id <> CASE k.kind WHEN 'tag' THEN _tag_key ELSE _seal_key END
      FROM agi_router.key k
     WHERE k.state = 'current'
       AND (k.id <> CASE k.kind WHEN 'tag' THEN _tag_key ELSE _seal_key END
            OR k.kind = 'seal' AND agi_router.seals_so_far() - k.sealed_before >= 4294967296)
$$;
COMMENT ON FUNCTION agi_router.find_key_faults IS 'Which of these keys may not be written under: one is no longer current (rotated), or has sealed as much as it may. No row: both may';
