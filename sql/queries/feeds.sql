-- Feeds of numbers that carriers gave to new owners.

-- add_feed --
-- Add a feed; no row if there is one of this name.
INSERT INTO agi_router.feed (name, kind, path, numbers, trust, every)
VALUES (%(name)s, %(kind)s, %(path)s, %(numbers)s, %(trust)s, %(every)s::interval)
    ON CONFLICT (name) DO NOTHING
RETURNING id;

-- list_feeds --
-- Feeds by name, or one; when a file of each was done last, and how pulling it went.
SELECT f.id, f.name, f.kind, f.path, f.numbers, f.trust, f.every, f.created_at,
       (SELECT max(r.ended_at) FROM agi_router.feed_run r WHERE r.feed_id = f.id) AS last_at, now() AS now,
       p.sealed IS NOT NULL AS authorized, p.pulled_at, p.failed_at, p.why AS failure, p.asked_at,
       (SELECT count(*) FROM agi_router.feed_body b JOIN agi_router.feed_run r ON r.id = b.run_id WHERE r.feed_id = f.id) AS waiting
  FROM agi_router.feed f
  LEFT JOIN agi_router.feed_pull p ON p.feed_id = f.id
 WHERE %(name)s::text IS NULL OR f.name = %(name)s
 ORDER BY f.name;

-- authorize_feed --
-- Keep what is sent to the address of a feed as Authorization; null: nothing.
INSERT INTO agi_router.feed_pull (feed_id, sealed)
SELECT %(feed_id)s, %(sealed)s::bytea
  FROM (SELECT agi_router.count_seals((%(sealed)s::bytea IS NOT NULL)::integer) OFFSET 0) c
    ON CONFLICT (feed_id) DO UPDATE SET sealed = excluded.sealed;

-- ask_feed --
-- Have a feed read soon.
INSERT INTO agi_router.feed_pull (feed_id, asked_at)
VALUES (%(feed_id)s, clock_timestamp())
    ON CONFLICT (feed_id) DO UPDATE SET asked_at = excluded.asked_at;

-- find_feed_pull --
-- How far a feed is pulled.
SELECT p.sealed, p.etag, p.modified, p.cursor FROM agi_router.feed_pull p WHERE p.feed_id = %(feed_id)s;

-- list_feed_secrets --
-- What is sent as Authorization and was not sealed so.
SELECT p.feed_id, p.sealed
  FROM agi_router.feed_pull p
 WHERE p.sealed IS NOT NULL AND substring(p.sealed FOR 3) <> %(header)s
 LIMIT %(limit)s
   FOR UPDATE;

-- note_feed_pulled --
-- Note that all is done that a feed has had, by when, and by what the next answer of its address is told from it.
INSERT INTO agi_router.feed_pull (feed_id, etag, modified, cursor, pulled_at)
SELECT f.id, %(etag)s, %(modified)s, %(cursor)s, coalesce(%(at)s::timestamptz, clock_timestamp())
  FROM agi_router.feed f WHERE f.id = %(feed_id)s
    ON CONFLICT (feed_id) DO UPDATE
   SET etag = excluded.etag, modified = excluded.modified, cursor = excluded.cursor, pulled_at = excluded.pulled_at,
       why = NULL;

-- note_feed_failed --
-- Note why the address of a feed gave nothing that could be read.
INSERT INTO agi_router.feed_pull (feed_id, failed_at, why)
SELECT f.id, clock_timestamp(), %(why)s FROM agi_router.feed f WHERE f.id = %(feed_id)s
    ON CONFLICT (feed_id) DO UPDATE SET failed_at = excluded.failed_at, why = excluded.why;

-- remove_feed --
-- Delete a feed and the reports of its runs.
DELETE FROM agi_router.feed WHERE id = %(feed_id)s RETURNING id;

-- close_feed --
-- Nobody reads a feed until the transaction is over; false where somebody does.
SELECT pg_try_advisory_xact_lock(7002031, %(feed_id)s::integer) AS held;

-- hold_feed --
-- One reads a feed at a time, as long as the connection lives; false where another does.
SELECT pg_try_advisory_lock(7002031, %(feed_id)s::integer) AS held;

-- release_feed --
-- Let the next one read it.
SELECT pg_advisory_unlock(7002031, %(feed_id)s::integer);

-- begin_feed_run --
-- Note a file as begun, unless it was, or its feed is gone.
INSERT INTO agi_router.feed_run (feed_id, file, digest)
SELECT f.id, %(file)s, %(digest)s
  FROM agi_router.feed f
 WHERE f.id = %(feed_id)s
    ON CONFLICT (feed_id, digest) DO NOTHING;

-- find_feed_run --
-- The run of a file.
SELECT r.id, r.taken, r.malformed, r.ended_at
  FROM agi_router.feed_run r
 WHERE r.feed_id = %(feed_id)s AND r.digest = %(digest)s;

-- count_feed_bodies --
-- How many other files than that of a run wait to be read for a feed.
SELECT count(*) AS files
  FROM agi_router.feed_body b
  JOIN agi_router.feed_run r ON r.id = b.run_id
 WHERE r.feed_id = %(feed_id)s AND r.id <> %(run_id)s;

-- keep_feed_body --
-- Keep the file of a run until it is read, unless it was.
INSERT INTO agi_router.feed_body (run_id, sealed)
SELECT r.id, %(sealed)s
  FROM (SELECT id FROM agi_router.feed_run WHERE id = %(run_id)s AND ended_at IS NULL FOR UPDATE) r
 CROSS JOIN (SELECT agi_router.count_seals(1) OFFSET 0) c
    ON CONFLICT (run_id) DO NOTHING;

-- list_feed_bodies --
-- The files that wait to be read for a feed, as they came.
SELECT r.id AS run_id, r.file, r.digest
  FROM agi_router.feed_body b
  JOIN agi_router.feed_run r ON r.id = b.run_id
 WHERE r.feed_id = %(feed_id)s
 ORDER BY r.id;

-- find_feed_body --
-- A file that waits; no row where it was read meanwhile.
SELECT b.sealed FROM agi_router.feed_body b WHERE b.run_id = %(run_id)s;

-- list_old_feed_bodies --
-- Files that wait and were not sealed so.
SELECT b.run_id, b.sealed
  FROM agi_router.feed_body b
 WHERE substring(b.sealed FOR 3) <> %(header)s
 LIMIT %(limit)s
   FOR UPDATE;

-- renew_feed_body --
-- Seal a file that waits anew.
UPDATE agi_router.feed_body
   SET sealed = %(sealed)s
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) c
 WHERE run_id = %(run_id)s;

-- forget_feed_bodies --
-- Forget files that nobody has read for a week.
WITH gone AS (
    DELETE FROM agi_router.feed_body
     WHERE run_id = ANY (ARRAY(
           SELECT run_id FROM agi_router.feed_body WHERE came_at < now() - interval '7 days' LIMIT %(limit)s))
    RETURNING run_id
)
SELECT count(*) AS rows FROM gone;

-- advance_feed_run --
-- Note that some more records of a file are done.
UPDATE agi_router.feed_run
   SET taken = %(taken)s, reissued = reissued + %(reissued)s, cancelled = cancelled + %(cancelled)s,
       kept = kept + %(kept)s, unknown = unknown + %(unknown)s, malformed = malformed + %(malformed)s
 WHERE id = %(run_id)s;

-- add_feed_faults --
-- Note lines that cannot be read.
INSERT INTO agi_router.feed_fault (run_id, line, why)
SELECT %(run_id)s, n.line, n.why
  FROM unnest(%(line)s::bigint[], %(why)s::text[]) n (line, why)
    ON CONFLICT (run_id, line) DO NOTHING;

-- finish_feed_run --
-- Note that all of a file is done.
SELECT * FROM agi_router.finish_feed_run(%(run_id)s);

-- list_feed_runs --
-- Runs of a feed, or one run; the latest first.
SELECT r.id, f.name AS feed, r.file, r.begun_at, r.ended_at, r.taken, r.reissued, r.cancelled, r.kept, r.unknown,
       r.malformed,
       (SELECT count(*) FROM agi_router.feed_match m WHERE m.run_id = r.id) AS matched,
       (SELECT count(*) FROM agi_router.feed_match m WHERE m.run_id = r.id AND m.outcome = 'ended') AS ended
  FROM agi_router.feed_run r
  JOIN agi_router.feed f ON f.id = r.feed_id
 WHERE (%(feed)s::text IS NULL OR f.name = %(feed)s) AND (%(run_id)s::bigint IS NULL OR r.id = %(run_id)s)
   AND (%(after_at)s::timestamptz IS NULL OR (r.begun_at, r.id) < (%(after_at)s, %(after_id)s::bigint))
 ORDER BY r.begun_at DESC, r.id DESC
 LIMIT %(limit)s;

-- list_feed_faults --
-- The lines of a run that cannot be read.
SELECT f.line, f.why FROM agi_router.feed_fault f WHERE f.run_id = %(run_id)s ORDER BY f.line;

-- list_feed_matches --
-- The bindings that a run has met, and what became of them.
SELECT m.block, m.binding_id, m.line, t.name AS tenant, m.outcome, m.at
  FROM agi_router.feed_match m
  JOIN agi_router.tenant t ON t.id = m.tenant_id
 WHERE m.run_id = %(run_id)s
 ORDER BY m.line, m.block, m.binding_id
 LIMIT %(limit)s;

-- assert_whole --
-- Fail where a database behind this one has nothing in any list.
SELECT agi_router.assert_whole();

-- end_recycled --
-- End bindings a party of each of which may have another number's owner by now; one word tells what came of each.
WITH ended AS MATERIALIZED (
    -- No end is waited for until it is on disk: where a crash takes it, it takes all that was written after it, too, so
    -- that the step of the file is not noted, and is done again.
    SELECT e.*
      FROM set_config('synchronous_commit', 'off', true) s
     CROSS JOIN agi_router.end_recycled(
           %(block)s::bigint[], %(id)s::bigint[], %(version)s::integer[], %(tags)s::text[], %(unknown)s::boolean[],
           %(until)s::timestamptz[], %(tag_key)s::integer, %(seal_key)s::integer) e
), noted AS (
    INSERT INTO agi_router.feed_match (run_id, block, binding_id, line, tenant_id, outcome, at)
    SELECT %(run_id)s, e.block, e.id, g.line, e.tenant_id, e.outcome, e.at
      FROM ended e
      JOIN unnest(%(block)s::bigint[], %(id)s::bigint[], %(line)s::bigint[]) g (block, id, line)
        ON g.block = e.block AND g.id = e.id
     WHERE e.outcome IN ('began_later', 'rings', 'held', 'ended')
        ON CONFLICT ON CONSTRAINT feed_match_pkey DO UPDATE
       SET line = excluded.line, outcome = excluded.outcome, at = excluded.at
     WHERE excluded.outcome IN ('ended', 'held')
)
SELECT e.block, e.id, e.outcome FROM ended e;

-- find_met --
-- Of these tags, those that anything is to be looked up by: n, the place of each. Of other numbers' tags some, too:
-- whoever asks opens what is sealed before anything is done.
  WITH told AS (SELECT t.tag, t.n FROM unnest(%(tags)s::bigint[]) WITH ORDINALITY t (tag, n))
SELECT m.n FROM agi_router.find_met(%(tags)s::bigint[]) m
 UNION
SELECT t.n FROM told t JOIN agi_router.group_member m ON m.tag = t.tag
 UNION
SELECT t.n FROM told t JOIN agi_router.blocklist e ON e.key = t.tag WHERE e.over_at IS NULL
 UNION
SELECT t.n FROM told t JOIN agi_router.blocklist e ON e.other_key = t.tag WHERE e.over_at IS NULL
 UNION
SELECT t.n FROM told t JOIN agi_router.lock l ON l.key = t.tag WHERE l.subject = 'person' AND l.over_at IS NULL
 UNION
SELECT t.n FROM told t JOIN agi_router.person_mark m ON m.tag = t.tag;

-- list_recycled --
-- Live bindings with a party, or a fixed number to call back, of one of these tags; n: the place of the tag.
SELECT * FROM agi_router.list_recycled(%(tags)s::bigint[]) ORDER BY n, block, id;

-- list_recycled_past --
-- Bindings that are over by which a party with one of these tags is still known: a call of it would hear how they ended,
-- or the pair would get its number again. n: the place of the tag.
SELECT * FROM agi_router.list_recycled_past(%(tags)s::bigint[]) ORDER BY n, block, id;

-- forget_recycled --
-- Forget a party with these tags, whose number has a new owner since, in a binding that is over; what a crash takes is
-- done again.
SELECT f.*
  FROM set_config('synchronous_commit', 'off', true) s
 CROSS JOIN agi_router.forget_recycled(
       %(block)s, %(tag_key)s::integer, %(seal_key)s::integer, %(id)s, %(tags)s::bigint[], %(until)s::timestamptz) f;

-- are_held --
-- A row if any binding waits to learn whose number a party has.
SELECT 1 AS held FROM agi_router.binding_hold LIMIT 1;

-- list_held --
-- Bindings that wait for one of these tags; n: the place of the tag.
SELECT * FROM agi_router.list_waiting(%(tags)s::bigint[]) ORDER BY n, block, id;

-- release_held --
-- Let a binding ring again, as far as it waits for these tags; one word tells what came of it. Of a run it is noted.
WITH released AS MATERIALIZED (
    SELECT * FROM agi_router.release_held(%(block)s, %(id)s, %(version)s, %(tags)s::bigint[])
), noted AS (
    INSERT INTO agi_router.feed_match (run_id, block, binding_id, line, tenant_id, outcome, at)
    SELECT %(run_id)s::bigint, %(block)s, %(id)s, %(line)s::bigint, r.tenant_id, r.outcome, r.at
      FROM released r
     WHERE %(run_id)s::bigint IS NOT NULL AND r.outcome IN ('held', 'released')
        ON CONFLICT ON CONSTRAINT feed_match_pkey DO UPDATE
       SET line = excluded.line, outcome = excluded.outcome, at = excluded.at
)
SELECT r.outcome FROM released r;

-- list_recycled_callers --
-- Routes by which one of these tags would be called back who called last, and is no party.
SELECT * FROM agi_router.list_recycled_callers(%(tags)s::bigint[]);

-- list_recycled_texts --
-- Texts that are owed to strangers with one of these tags, as the rows by which A of AX answers them.
SELECT * FROM agi_router.list_recycled_texts(%(tags)s::bigint[]);

-- give_up_owed_message --
-- Let a text that is in hand, if it is, not be tried again.
UPDATE agi_router.message_out
   SET expires_at = statement_timestamp()
 WHERE block = %(block)s AND id = %(id)s;

-- list_recycled_persons --
-- Marks of the register of persons with one of these tags; n: the place of the tag.
SELECT n.n, m.person_id, m.tag, m.sealed
  FROM unnest(%(tags)s::bigint[]) WITH ORDINALITY n (tag, n)
  JOIN agi_router.person_mark m ON m.tag = n.tag;

-- note_new_owners --
-- Note since when the numbers of some persons, who are there, have new owners; what is known to be later stays.
INSERT INTO agi_router.new_owner (person_id, since)
SELECT n.person_id, max(n.since)
  FROM unnest(%(person_ids)s::bigint[], %(since)s::timestamptz[]) n (person_id, since)
 WHERE EXISTS (SELECT 1 FROM agi_router.person_mark m WHERE m.person_id = n.person_id)
 GROUP BY n.person_id
 ORDER BY n.person_id
    ON CONFLICT (person_id) DO UPDATE SET since = excluded.since WHERE agi_router.new_owner.since < excluded.since;

-- stream_persons --
-- What is sealed in the register of persons.
SELECT m.person_id, m.tag, m.sealed FROM agi_router.person_mark m;

-- list_recycled_members --
-- Members of party groups with one of these tags, and what their tenant has become of numbers of which nobody knows.
SELECT m.group_id, m.tag, m.sealed, m.added_at, t.unknown_numbers, n.n
  FROM unnest(%(tags)s::bigint[]) WITH ORDINALITY n (tag, n)
  JOIN agi_router.group_member m ON m.tag = n.tag
  JOIN agi_router.party_group g ON g.id = m.group_id
  JOIN agi_router.tenant t ON t.id = g.tenant_id
 ORDER BY n.n, m.group_id;

-- remove_recycled_member --
-- Take a member out of a party group that is held.
DELETE FROM agi_router.group_member WHERE group_id = %(group_id)s AND tag = %(tag)s;

-- stream_group_members --
-- What is sealed in party groups.
SELECT m.group_id, m.tag, m.sealed FROM agi_router.group_member m;

-- forget_last_caller --
-- Forget who called last, if it is still who it was.
UPDATE agi_router.route
   SET last_callee = NULL, last_tag = NULL, last_at = NULL
 WHERE block = %(block)s AND x_number = %(x_number)s AND caller_tag = %(caller_tag)s
   AND last_at = %(last_at)s::timestamptz
RETURNING binding_id;

-- stream_live_routes --
-- What is sealed in live bindings, or in those that are held; and the row of B for which members of a group are sealed.
SELECT r.block, r.binding_id, r.x_number, r.caller_tag, r.shown, r.side, r.callee, r.caller, r.last_callee, b.mode,
       p.x_number AS back_x, p.caller_tag AS back_tag, p.shown AS back_shown
  FROM agi_router.route r
  JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
  LEFT JOIN agi_router.route p
    ON r.caller IS NOT NULL AND b.mode IN ('gxb', 'gxyb') AND p.block = r.block AND p.binding_id = r.binding_id
       AND p.side = 'b'
 WHERE b.ended_at IS NULL AND b.expires_at > now() AND (NOT %(held)s OR b.state = 'held');

-- stream_texts_to_strangers --
-- What is sealed in texts that are owed to strangers, as the rows by which A of AX answers them.
SELECT o.block, o.binding_id, o.x_number, o.caller_tag, o.shown, o.side, NULL::bytea AS callee, NULL::bytea AS caller,
       o.callee AS last_callee, 'ax' AS mode
  FROM agi_router.message_out o
 WHERE o.stranger_tag IS NOT NULL;

-- list_new_complaints --
-- Complaints behind one of which nobody has looked yet who has called; and the call, if there is one. Those of a cell
-- that is away wait until it is back.
SELECT m.id, c.block, c.binding_id, c.side, c.received_at
  FROM agi_router.complaint m
  LEFT JOIN LATERAL agi_router.find_complained_call(m.x_number / 10000, m.x_number, m.at) c ON true
 WHERE m.id > %(after)s AND NOT EXISTS (SELECT 1 FROM agi_router.complaint_caller n WHERE n.complaint_id = m.id)
   AND NOT EXISTS (SELECT 1 FROM agi_router.list_cells() a WHERE a.away AND m.x_number / 10000 = ANY (a.blocks))
 ORDER BY m.id
 LIMIT %(limit)s;

-- note_complained_caller --
-- Note who has called where somebody complains; null: nobody knows.
INSERT INTO agi_router.complaint_caller (complaint_id, person_id) VALUES (%(id)s, %(person_id)s)
    ON CONFLICT DO NOTHING;

-- gather_findings --
-- Note what carriers are to be told.
SELECT agi_router.gather_findings(%(least)s, %(within)s);

-- list_findings --
-- Findings by their key: those behind one, of one operator or of all, and those that were acknowledged too if asked.
SELECT f.id, f.operator, f.source, f.status, f.found_at, f.taken_at, f.acknowledged_at,
       l.id AS lock_id, l.key, l.sealed, c.person_id,
       CASE f.source WHEN 'lock' THEN l.rule ELSE 'complaints' END AS rule, coalesce(l.starts_at, m.at) AS starts_at
  FROM agi_router.finding f
  LEFT JOIN agi_router.lock l ON l.id = f.lock_id
  LEFT JOIN agi_router.complaint m ON m.id = f.complaint_id
  LEFT JOIN agi_router.complaint_caller c ON c.complaint_id = m.id
 WHERE (%(operator)s::smallint IS NULL OR f.operator = %(operator)s)
   AND (%(everything)s OR f.acknowledged_at IS NULL)
   AND f.id > %(after)s::bigint
 ORDER BY f.id
 LIMIT %(limit)s;

-- take_findings --
-- Note that findings are handed out.
UPDATE agi_router.finding SET taken_at = statement_timestamp() WHERE id = ANY (%(ids)s::bigint[]) AND taken_at IS NULL;

-- acknowledge_findings --
-- Note that the carrier of an operator has what was handed out, up to a key.
WITH done AS (
    UPDATE agi_router.finding f
       SET acknowledged_at = statement_timestamp()
     WHERE f.operator = %(operator)s AND f.id <= %(up_to)s AND f.taken_at IS NOT NULL AND f.acknowledged_at IS NULL
    RETURNING f.id
)
SELECT count(*) AS findings FROM done;
