CREATE OR REPLACE FUNCTION agi_router.take_nonce(_key text, _digest bytea, _date timestamptz)
RETURNS TABLE (taken boolean, forgotten_for numeric)
LANGUAGE sql AS $$
-- Before a nonce is taken the key's row says, durably, that dates up to its own were; so it is refused where
-- the nonces were forgotten since.
WITH known AS (
    SELECT coalesce(f.since, k.signed_until, '-infinity') AS since, f.since IS NULL AS forgotten
      FROM agi_router.api_key k
      LEFT JOIN agi_router.nonce_since f ON f.key_id = k.id
     WHERE k.id = _key
), begun AS (
    INSERT INTO agi_router.nonce_since (key_id, since)
    SELECT _key, since FROM known WHERE forgotten
        ON CONFLICT DO NOTHING
), covered AS (
    UPDATE agi_router.api_key k
       SET signed_until = _date + interval '10 seconds'
      FROM known
     WHERE k.id = _key AND known.since < _date AND (k.signed_until IS NULL OR k.signed_until < _date)
), taken AS (
    INSERT INTO agi_router.nonce (digest, taken_at)
    SELECT _digest, statement_timestamp() FROM known WHERE since < _date
        ON CONFLICT DO NOTHING
    RETURNING digest
)
SELECT EXISTS (SELECT t.digest FROM taken t) AS taken,
       extract(epoch FROM nullif(since, '-infinity') - _date) AS forgotten_for
  FROM known;
$$;
COMMENT ON FUNCTION agi_router.take_nonce IS 'Takes the nonce of a signed request: whether it was taken now, and whether that can be known. forgotten_for: seconds that its date lies before those that are known';
