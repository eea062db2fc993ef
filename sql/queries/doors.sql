-- What the HTTP door remembers of requests.

-- take_nonce --
-- Take the nonce of a signed request: whether it was taken now, and whether that can be known. Before a nonce is taken
-- the key's row says, durably, that dates up to its own were; so it is refused where the nonces were forgotten since.
WITH known AS (
    SELECT coalesce(f.since, k.signed_until, '-infinity') AS since, f.since IS NULL AS forgotten
      FROM agi_router.api_key k
      LEFT JOIN agi_router.nonce_since f ON f.key_id = k.id
     WHERE k.id = %(key)s
), begun AS (
    INSERT INTO agi_router.nonce_since (key_id, since)
    SELECT %(key)s, since FROM known WHERE forgotten
        ON CONFLICT DO NOTHING
), covered AS (
    UPDATE agi_router.api_key k
       SET signed_until = %(date)s::timestamptz + interval '10 seconds'
      FROM known
     WHERE k.id = %(key)s AND known.since < %(date)s::timestamptz
       AND (k.signed_until IS NULL OR k.signed_until < %(date)s::timestamptz)
), taken AS (
    INSERT INTO agi_router.nonce (digest, taken_at)
    SELECT %(digest)s, statement_timestamp() FROM known WHERE since < %(date)s::timestamptz
        ON CONFLICT DO NOTHING
    RETURNING digest
)
SELECT EXISTS (SELECT 1 FROM taken) AS taken,
       extract(epoch FROM nullif(since, '-infinity') - %(date)s::timestamptz) AS forgotten_for
  FROM known;

-- forget_nonces --
-- Forget nonces of requests that were signed so long ago that none is accepted any more.
WITH gone AS (
    DELETE FROM agi_router.nonce WHERE taken_at < now() - 2 * %(window)s::interval - interval '1 minute'
    RETURNING digest
)
SELECT count(*) AS rows FROM gone;

-- find_answer --
-- What was answered to a request, under any of these names.
SELECT payload, status, headers, body FROM agi_router.answer WHERE name = ANY (%(names)s::bytea[]) LIMIT 1;

-- take_answer --
-- Begin to answer a request under a name; no row if it was answered. Waits for whoever is about to.
INSERT INTO agi_router.answer (name, payload)
VALUES (%(name)s, %(payload)s)
    ON CONFLICT DO NOTHING
RETURNING name;

-- keep_answer --
-- Keep what was answered.
UPDATE agi_router.answer
   SET status = %(status)s, headers = %(headers)s::jsonb, body = %(body)s
 WHERE name = %(name)s
RETURNING name;

-- forget_answers --
-- Forget what was answered more than a day ago.
WITH gone AS (
    DELETE FROM agi_router.answer
     WHERE name = ANY (ARRAY(
           SELECT name FROM agi_router.answer WHERE made_at < now() - interval '1 day' LIMIT %(limit)s))
    RETURNING name
)
SELECT count(*) AS rows FROM gone;
