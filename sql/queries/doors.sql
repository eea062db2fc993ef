-- What the HTTP door remembers of requests.

-- take_nonce --
-- Take the nonce of a signed request; no row if it is taken.
INSERT INTO agi_router.nonce (digest, taken_at)
VALUES (%(digest)s, statement_timestamp())
    ON CONFLICT DO NOTHING
RETURNING digest;

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
