-- Texts: taking, sending, looking them up.

-- admit_message --
-- Take one use and store the text if every guard holds; the facts either way.
SELECT * FROM agi_router.admit_message(
    %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(x_number)s, %(tags)s::bigint[], %(id)s, %(day)s,
    %(same)s::bytea, %(asked)s::bytea, %(link_in)s, %(link_out)s, %(validity)s::interval, %(octets)s::integer, %(parts)s::integer,
    %(body)s::bytea, %(strangers)s::bigint[], %(rules)s::integer, %(hold)s::interval, %(opts_out)s::boolean,
    %(lease)s::interval, %(scope)s::integer, %(check_id)s::uuid, %(check_verdict)s, %(check_ms)s::integer,
    %(tenant_check_id)s::uuid, %(tenant_check_verdict)s, %(tenant_check_ms)s::integer, %(stranger_of)s::bigint,
    %(stranger)s::bytea);

-- find_message_facts --
-- The facts for a text at a time, so far as they lie within the scope, nothing taken: now, unless another time is given.
SELECT * FROM agi_router.find_message_facts(
    %(block)s, %(x_number)s, %(tags)s::bigint[], coalesce(%(at)s, clock_timestamp()),
    %(strangers)s::bigint[], %(scope)s);

-- find_message_rules --
-- Whose the texts of a binding are, and by what they are judged; no version: by nothing.
SELECT b.tenant_id, r.version, r.numbers, r.words, r.templates, r.opt_out, r.hold, r.checked
  FROM agi_router.binding b
  LEFT JOIN agi_router.message_rule r ON r.tenant_id = b.tenant_id
 WHERE b.block = %(block)s AND b.id = %(binding_id)s;

-- find_text_question --
-- What the verification service of a tenant is told of a text of a binding, and the service, if it has one.
SELECT t.id AS tenant_id, t.name AS tenant, b.order_id, b.out_id, b.industrial_id, clock_timestamp() AS asked_at,
       s.url, s.unanswered, s.timeout_ms, s.secret,
       CASE WHEN s.old_until > clock_timestamp() THEN s.old_secret END AS old_secret
  FROM agi_router.binding b
  JOIN agi_router.tenant t ON t.id = b.tenant_id
  LEFT JOIN agi_router.tenant_check s ON s.tenant_id = t.id
 WHERE b.block = %(block)s AND b.id = %(binding_id)s;

-- mark_message_rules --
-- Say by which version of its rules a tenant's texts are judged from now on; its row is held.
UPDATE agi_router.tenant
   SET message_rules = %(version)s::integer
 WHERE id = %(tenant_id)s AND agi_router.in_scope(id, %(scope)s)
RETURNING id;

-- put_message_rules --
-- Set a tenant's rules for texts.
INSERT INTO agi_router.message_rule (tenant_id, version, numbers, words, templates, opt_out, hold, checked)
VALUES (%(tenant_id)s, %(version)s, %(numbers)s, %(words)s::text[], %(templates)s::text[], %(opt_out)s::text[],
        %(hold)s::interval, %(checked)s)
    ON CONFLICT (tenant_id) DO UPDATE
   SET version = excluded.version, numbers = excluded.numbers, words = excluded.words,
       templates = excluded.templates, opt_out = excluded.opt_out, hold = excluded.hold,
       checked = excluded.checked, changed_at = statement_timestamp()
RETURNING tenant_id;

-- remove_message_rules --
-- Remove them; no row where there are none.
DELETE FROM agi_router.message_rule
 WHERE tenant_id = %(tenant_id)s AND agi_router.in_scope(tenant_id, %(scope)s)
RETURNING tenant_id;

-- find_tenant_message_rules --
-- A tenant's rules for texts; no row: it has none.
SELECT t.name AS tenant, r.numbers, r.words, r.templates, r.opt_out, r.hold, r.checked, r.changed_at
  FROM agi_router.message_rule r
  JOIN agi_router.tenant t ON t.id = r.tenant_id
 WHERE r.tenant_id = %(tenant_id)s AND agi_router.in_scope(r.tenant_id, %(scope)s);

-- take_messages --
-- Take texts that are due, for so long. What was in hand and has not ended may have been sent. ended: by which
-- reason it would not be taken any more; over: whether its own time is; members: of a text to a member of a group,
-- the tags of those who have been in it since the text was accepted.
UPDATE agi_router.message_out o
   SET attempts = o.attempts + (NOT o.held)::integer, in_hand = true, maybe_twice = o.maybe_twice OR o.in_hand,
       next_at = statement_timestamp() + %(lease)s::interval
  FROM (SELECT d.block, d.id
          FROM agi_router.message_out d
         WHERE d.link_out = %(link)s AND d.next_at <= statement_timestamp()
         ORDER BY d.next_at
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED) due
  JOIN agi_router.message_out own ON own.block = due.block AND own.id = due.id
  LEFT JOIN agi_router.binding b ON b.block = own.block AND b.id = own.binding_id
  LEFT JOIN agi_router.tenant t ON t.id = b.tenant_id
  LEFT JOIN agi_router.block k ON k.block = own.block
 WHERE o.block = due.block AND o.id = due.id
RETURNING o.block, o.id, o.attempts, o.maybe_twice, o.binding_id, o.x_number, o.caller_tag, o.side, o.shown,
          o.purpose, o.callee, o.body,
          o.expires_at <= statement_timestamp() AND NOT o.held AS over, o.expires_at - statement_timestamp() AS time_left,
          CASE WHEN own.side = 'b' AND b.mode IN ('gxb', 'gxyb')
               THEN ARRAY(SELECT g.caller_tag
                            FROM agi_router.route g
                           WHERE g.block = own.block AND g.binding_id = own.binding_id AND g.side = 'a'
                             AND g.begins_at <= own.received_at)
          END AS members,
          CASE WHEN o.held THEN 'hold_expired'
               WHEN b.ended_at IS NOT NULL THEN b.state
               WHEN b.expires_at <= statement_timestamp() THEN 'expired'
               -- Nobody knows whose number it would go to; new texts are refused by the same word.
               WHEN b.state = 'held' THEN 'recycle_unknown'
               WHEN NOT t.active OR EXISTS (SELECT f.lock_id
                                              FROM agi_router.find_locks(
                                                   ARRAY[b.tenant_id::bigint], b.tenant_id, statement_timestamp(),
                                                   '{}') f)
               THEN 'tenant_suspended'
               WHEN t.qualified_until <= statement_timestamp() THEN 'tenant_unqualified'
               -- Its parties were replaced: all routes of a binding begin anew then.
               WHEN NOT EXISTS (SELECT 1
                                  FROM agi_router.route r
                                 WHERE r.block = own.block AND r.binding_id = own.binding_id
                                   AND r.x_number = own.x_number AND r.side = own.side
                                   AND r.begins_at <= own.received_at)
               THEN 'unbound'
               WHEN k.state = 'returned' OR k.valid_until <= statement_timestamp() THEN 'certificate_invalid'
          END AS ended;

-- put_off_message --
-- Try it again later, unless somebody else has it in hand. known: whether it was certainly not delivered by now.
UPDATE agi_router.message_out
   SET next_at = statement_timestamp() + %(pause)s::interval, in_hand = false,
       maybe_twice = maybe_twice OR NOT %(known)s::boolean
 WHERE block = %(block)s AND id = %(id)s AND attempts = %(attempts)s;

-- finish_message --
-- End it; no row where somebody else has it in hand or has ended it.
SELECT * FROM agi_router.finish_message(
    %(block)s, %(id)s, %(attempts)s::integer, %(state)s, %(reason)s, %(status)s::integer);

-- forget_seen_messages --
-- Forget requests that nobody repeats any more, in each cell.
SELECT coalesce(sum(f.rows), 0)::bigint AS rows FROM agi_router.forget_seen_messages(%(limit)s::integer) f;

-- count_owed_messages --
-- How many texts a door owes, and since when the oldest.
SELECT count(*) AS owed, coalesce(extract(epoch FROM statement_timestamp() - min(o.received_at)), 0)::float8 AS oldest
  FROM agi_router.message_out o
 WHERE o.link_out = %(link)s AND NOT o.held;

-- watch_messages --
-- Texts that are due and that nobody has taken for so long, by the door that owes them.
SELECT o.link_out AS link, count(*) AS due, statement_timestamp() - min(o.next_at) AS waiting
  FROM agi_router.message_out o
 WHERE o.next_at < statement_timestamp() - %(within)s::interval AND NOT o.held
 GROUP BY o.link_out
 ORDER BY o.link_out;

-- list_messages --
-- Texts of a time, or one by its id, newest first; of all, or of one binding, number or state, or behind a text. The
-- block is given with the first two: it leads the key.
SELECT m.id, m.block, m.x_number, m.binding_id, t.name AS tenant, m.side, m.shown, m.octets, m.parts, m.received_at,
       m.expires_at, m.state, m.reason, m.status, coalesce(o.attempts, m.attempts) AS attempts,
       coalesce(o.maybe_twice, m.maybe_twice) AS maybe_twice, m.done_at, m.check_id, m.check_verdict, m.check_ms,
       m.tenant_check_id, m.tenant_check_verdict, m.tenant_check_ms
  FROM agi_router.message m
  JOIN agi_router.tenant t ON t.id = m.tenant_id
  LEFT JOIN agi_router.message_out o ON o.block = m.block AND o.id = m.id
 WHERE m.received_at >= %(since)s::timestamptz
   -- Its day is that of the door's clock, give or take one.
   AND m.day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date - 1
   AND (%(until)s::timestamptz IS NULL 
        OR m.day <= (%(until)s AT TIME ZONE 'UTC')::date + 1 AND m.received_at < %(until)s)
   AND agi_router.in_scope(m.tenant_id, %(scope)s)
   AND (%(state)s::text IS NULL OR m.state = %(state)s)
   AND (%(block)s::bigint IS NULL OR m.block = %(block)s)
   AND (%(binding_id)s::bigint IS NULL OR m.binding_id = %(binding_id)s)
   AND (%(x_number)s::bigint IS NULL OR m.x_number = %(x_number)s)
   AND (%(after_at)s::timestamptz IS NULL
        OR m.day <= (%(after_at)s AT TIME ZONE 'UTC')::date + 1
           AND (m.received_at, m.id) < (%(after_at)s, %(after_id)s::text))
   AND (%(id)s::text IS NULL OR m.id = %(id)s)
 ORDER BY m.received_at DESC, m.id DESC
 LIMIT %(limit)s;

-- release_message --
-- Let a text go that is held and whose time is not over; no row where it is not.
SELECT * FROM agi_router.release_message(%(block)s, %(id)s);

-- find_seen_message --
-- The text that was accepted by one of these requests within ten minutes, what was asked for, and whom its carrier
-- was told; no row: none was.
SELECT s.id, s.asked, s.receiver_tag
  FROM agi_router.message_seen s
 WHERE s.block = %(block)s AND s.same = ANY (%(sames)s::bytea[])
   AND s.at >= statement_timestamp() - interval '10 minutes';

-- report_message --
-- Give a text that its carrier keeps its last state; whether that is its state, no row where it is none.
SELECT * FROM agi_router.report_message(
    %(block)s, %(id)s, %(day)s::date, %(link)s, %(state)s, %(scope)s);

-- discard_message --
-- End a text that is owed and that nobody has in hand; no row where there is none.
SELECT * FROM agi_router.discard_message(%(block)s, %(id)s, %(reason)s);

-- keep_part --
-- Keep a part of a text; all that are there.
SELECT * FROM agi_router.keep_part(
    %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(same)s::bytea, %(number)s::integer, %(total)s::integer,
    %(content)s::bytea, %(sealed)s::bytea);

-- close_parts --
-- The text of these parts was taken or refused: what they say is deleted.
UPDATE agi_router.message_part SET sealed = NULL WHERE block = %(block)s AND same = %(same)s::bytea;

-- count_waiting_parts --
-- How many parts wait for others.
SELECT count(*) AS rows FROM agi_router.message_part WHERE sealed IS NOT NULL;

-- forget_parts --
-- Give parts up whose text was not whole in time.
WITH gone AS (
    DELETE FROM agi_router.message_part
     WHERE at < statement_timestamp() - %(wait)s::interval
    RETURNING sealed
)
SELECT count(g.sealed) AS incomplete FROM gone g;

-- note_sent_parts --
-- Note which short messages of a text a message centre has taken; a row once it has all.
SELECT * FROM agi_router.note_sent_parts(
    %(block)s, %(id)s, %(link)s, %(parts)s::integer[], %(remote_ids)s::text[],
    %(total)s::integer, %(status)s::integer);

-- list_sent_parts --
-- Which short messages of a text a message centre has taken.
SELECT DISTINCT part FROM agi_router.message_sent WHERE block = %(block)s AND id = %(id)s;

-- note_receipt --
-- Note what a receipt tells.
SELECT * FROM agi_router.note_receipt(%(link)s, %(remote_id)s, %(state)s);

-- give_up_receipts --
-- What becomes of a text whose receipt nobody waits for any more is not known; receipts of nothing are deleted.
WITH late AS (
    SELECT DISTINCT s.block, s.id, s.day
      FROM agi_router.message_sent s
     WHERE s.until < statement_timestamp() AND s.id IS NOT NULL
     LIMIT %(limit)s
), gone AS (
    DELETE FROM agi_router.message_sent s WHERE s.until < statement_timestamp() AND s.id IS NULL RETURNING s.link
)
SELECT agi_router.end_sent_message(l.block, l.id, l.day, 'unknown')::text AS ended, (SELECT count(*) FROM gone) AS gone
  FROM late l;

-- count_unmatched_receipts --
-- How many receipts of a link belong to nothing that is known.
SELECT count(*) AS rows FROM agi_router.message_sent WHERE link = %(link)s AND id IS NULL;

-- hold_link --
-- Take or keep a link, unless another process has it.
SELECT * FROM agi_router.hold_link(
    %(name)s, %(holder)s, %(node)s, %(for)s::interval, %(up)s::boolean, %(heard)s::interval, %(gone)s);

-- list_unheard --
-- Requests of a link whose answer the message centre may not have heard.
SELECT s.same
  FROM agi_router.message_seen s
 WHERE s.link = %(name)s
   AND s.at >= (SELECT l.heard_at FROM agi_router.message_link l WHERE l.name = %(name)s);

-- list_links --
-- Links, by name, and what each owes.
SELECT l.name, l.node, l.drained, l.up_since, l.until > statement_timestamp() AS held,
       (SELECT count(*) FROM agi_router.message_out o WHERE o.link_out = l.name) AS owed
  FROM agi_router.message_link l
 ORDER BY l.name;

-- drain_link --
-- Say whether a link is to be unbound; no row where there is none.
UPDATE agi_router.message_link SET drained = %(drained)s WHERE name = %(name)s RETURNING name;

-- end_link_texts --
-- End what a link owes that nobody serves any more.
SELECT f.state
  FROM agi_router.message_out o
 CROSS JOIN LATERAL agi_router.finish_message(o.block, o.id, o.attempts, 'failed', %(reason)s, NULL) f
 WHERE o.link_out = %(name)s;

-- forget_link --
-- Forget a link that nobody serves any more.
DELETE FROM agi_router.message_link WHERE name = %(name)s RETURNING name;
