-- What the HTTP door remembers of requests.

-- take_nonce --
-- Take the nonce of a signed request; see agi_router.take_nonce.
SELECT taken, forgotten_for FROM agi_router.take_nonce(%(key)s, %(digest)s, %(date)s::timestamptz);

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
-- Begin to answer a request under a name; no row if it was answered. Waits so many milliseconds for whoever is about to;
-- what comes behind it in the transaction waits without an end, as ever.
INSERT INTO agi_router.answer (name, payload)
SELECT %(name)s::bytea, %(payload)s::bytea WHERE set_config('lock_timeout', %(patience)s::text, true) IS NOT NULL
    ON CONFLICT DO NOTHING
RETURNING name, set_config('lock_timeout', '0', true);

-- bind_asked --
-- Make a binding as it is asked for, and keep what is answered; see agi_router.bind_asked.
SELECT *
  FROM agi_router.bind_asked(
       %(block)s, %(api_key)s, %(api_scope)s, %(nonce)s::bytea, %(signed_at)s::timestamptz, %(pool)s, %(name)s::bytea,
       %(payload)s::bytea, %(status)s::integer, %(headers)s::jsonb, %(answer)s, %(once)s::bigint[],
       %(tag_key)s::integer, %(seal_key)s::integer, %(tenant_id)s::integer, %(digit)s::integer, %(terms)s::jsonb,
       %(life)s::interval, %(longest)s, %(number_quarantine)s, %(party_quarantine)s, %(scope)s::integer,
       %(rules)s::jsonb, %(stride)s::integer, %(id)s::bigint[], %(drawn)s::bigint[], %(tags)s::text[], %(place)s::integer[],
       %(x_number)s::bigint[], %(caller_tag)s::bigint[], %(shown)s::bigint[], %(side)s::text[],
       %(callee)s::bytea[], %(callee_tags)s::text[], %(caller)s::bytea[]);

-- bind_asked_together --
-- Make bindings as they are asked for, and keep what is answered; see agi_router.bind_asked_together.
SELECT *
  FROM agi_router.bind_asked_together(
       %(block)s, %(api_key)s, %(api_scope)s, %(nonce)s::bytea[], %(signed_at)s::timestamptz[], %(pool)s,
       %(name)s::bytea[], %(payload)s::bytea[], %(status)s::integer, %(headers)s::text[], %(answer)s::text[],
       %(once)s::text[], %(tag_key)s::integer, %(seal_key)s::integer, %(tenant_id)s::integer, %(digit)s::integer,
       %(terms)s::jsonb, %(life)s::interval, %(longest)s, %(number_quarantine)s, %(party_quarantine)s,
       %(scope)s::integer, %(rules)s::jsonb, %(id)s::bigint[], %(drawn)s::bigint[], %(tags)s::text[],
       %(place)s::integer[], %(x_number)s::bigint[], %(caller_tag)s::bigint[], %(shown)s::bigint[], %(side)s::text[],
       %(callee)s::bytea[], %(callee_tags)s::text[], %(caller)s::bytea[]);

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
