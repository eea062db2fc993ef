-- What is handed over of a day, and what was.
--
-- Cells are in the order of agi_router/exports/kinds.py, times as text of ISO 8601. Whoever reads goes on behind a
-- record by its key.

-- steer_export --
-- Until the transaction ends, sort in memory what fits.
SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true);

-- copy_calls_of_day --
-- Calls of a day that have ended.
COPY (
SELECT c.id, c.x_number, replace(c.received_at::text, ' ', 'T') || ':00',
       replace(c.answered_at::text, ' ', 'T') || ':00', replace(c.ended_at::text, ' ', 'T') || ':00',
       c.block || '-' || c.binding_id, c.side, c.shown, t.name, c.reason, c.outcome, c.ring_ms, c.talk_ms,
       c.released_by, c.clock, c.cut, c.cause, c.sip_status, c.check_id, c.check_verdict, c.check_ms,
       c.tenant_check_id, c.tenant_check_verdict, c.tenant_check_ms
  FROM agi_router.call c
  LEFT JOIN agi_router.tenant t ON t.id = c.tenant_id
 WHERE c.day BETWEEN %(first)s AND %(last)s AND c.state = 'settled'
   AND c.received_at >= %(since)s AND c.received_at < %(until)s
   AND (%(after_at)s::timestamptz IS NULL
        OR (c.received_at, c.x_number, c.id COLLATE "C")
           > (%(after_at)s::timestamptz, %(after_x)s::bigint, %(after_id)s::text COLLATE "C"))
 ORDER BY c.received_at, c.x_number, c.id COLLATE "C"
) TO STDOUT;

-- copy_texts_of_day --
-- Texts of a day that have a final state.
COPY (
SELECT m.id, m.x_number, replace(m.received_at::text, ' ', 'T') || ':00',
       replace(m.done_at::text, ' ', 'T') || ':00', m.block || '-' || m.binding_id, m.side, m.shown, t.name, m.link_in,
       m.octets, m.parts, m.state, m.reason, m.status, m.attempts, m.maybe_twice, m.check_id,
       m.check_verdict, m.check_ms, m.tenant_check_id, m.tenant_check_verdict, m.tenant_check_ms
  FROM agi_router.message m
  JOIN agi_router.tenant t ON t.id = m.tenant_id
 WHERE m.day BETWEEN %(first)s AND %(last)s AND m.done_at IS NOT NULL
   AND m.received_at >= %(since)s AND m.received_at < %(until)s
   AND (%(after_at)s::timestamptz IS NULL
        OR (m.received_at, m.x_number, m.id COLLATE "C")
           > (%(after_at)s::timestamptz, %(after_x)s::bigint, %(after_id)s::text COLLATE "C"))
 ORDER BY m.received_at, m.x_number, m.id COLLATE "C"
) TO STDOUT;

-- stream_bindings_of_day --
-- Bindings that began or ended on a day, or whose parties changed on it.
WITH named AS (
    SELECT b.block, b.id
      FROM agi_router.tenant t
     CROSS JOIN LATERAL (
           SELECT o.block, o.id
             FROM agi_router.binding o
            WHERE o.tenant_id = t.id AND o.begins_at >= %(since)s AND o.begins_at < %(until)s) b
     UNION
    SELECT b.block, b.id
      FROM agi_router.binding b
     WHERE b.ended_at >= %(since)s AND b.ended_at < %(until)s
     UNION
    SELECT b.block, b.id
      FROM agi_router.binding b
     WHERE b.ended_at IS NULL AND b.expires_at >= %(since)s AND b.expires_at < %(until)s
     UNION
    SELECT r.block, r.binding_id
      FROM agi_router.route r
     WHERE r.begins_at >= %(since)s AND r.begins_at < %(until)s
     UNION
    SELECT p.block, p.binding_id
      FROM agi_router.past_route p
     -- Who left on the day, or joined on it and has left by now.
     WHERE p.left_group AND p.ends_at >= %(since)s
       AND (p.ends_at < %(until)s OR p.begins_at >= %(since)s AND p.begins_at < %(until)s)
)
SELECT b.block, b.id, t.name AS tenant, b.order_id, b.mode,
       CASE WHEN b.ended_at < %(until)s THEN b.state
            WHEN least(b.expires_at, b.ended_at) < %(until)s THEN 'expired'
            ELSE 'active' END AS state,
       b.begins_at, b.expires_at,
       CASE WHEN least(b.expires_at, b.ended_at) < %(until)s THEN least(b.expires_at, b.ended_at) END AS ended_at,
       b.direction, b.max_calls, b.messages, b.max_messages, b.extension, b.scene, b.consent, b.industrial_id,
       b.out_id, b.user_data, b.pool, b.party_group, b.parent_id
  FROM named n
  JOIN agi_router.binding b ON b.block = n.block AND b.id = n.id
  JOIN agi_router.tenant t ON t.id = b.tenant_id
 WHERE b.begins_at < %(until)s
   AND (%(after_block)s::bigint IS NULL OR (b.block, b.id) > (%(after_block)s::bigint, %(after_id)s::bigint))
 ORDER BY b.block, b.id;

-- stream_locks_of_day --
-- Locks that were set on a day or came to an end on it.
SELECT l.id, l.subject, l.key, l.sealed, t.name AS tenant, l.reason, l.rule, l.note, l.set_by, l.set_at, l.starts_at,
       l.ends_at, l.cut, l.over_at < %(until)s AS is_over, l.over_at, l.lifted_by, l.lift_note
  FROM agi_router.lock l
  LEFT JOIN agi_router.tenant t ON t.id = l.tenant_id
 WHERE (l.set_at >= %(since)s AND l.set_at < %(until)s OR l.over_at >= %(since)s AND l.over_at < %(until)s)
   AND (%(after_id)s::bigint IS NULL OR l.id > %(after_id)s)
 ORDER BY l.id;

-- stream_consents_of_day --
-- Lines of the consent ledger that were written on a day.
SELECT c.id, t.name AS tenant, c.person_id, c.act, c.purpose, c.order_id, c.how, c.at, c.evidence, c.version, c.binding,
       c.added_at, c.added_by
  FROM agi_router.tenant t
 CROSS JOIN LATERAL (
       SELECT o.*
         FROM agi_router.consent o
        WHERE o.tenant_id = t.id AND o.added_at >= %(since)s AND o.added_at < %(until)s) c
 WHERE %(after_id)s::bigint IS NULL OR c.id > %(after_id)s
 ORDER BY c.id;

-- record_export --
-- Write down that a package was made, unless it was, and tell tenants what they have in it.
SELECT agi_router.record_export(
    %(day)s, %(sequence)s, %(records)s::jsonb, %(numbers)s, %(recipient)s, %(manifest)s, %(signed)s, %(tenants)s::jsonb);

-- find_deleted --
-- Whether bindings, calls or texts of a day (UTC), or of a later one, were deleted.
SELECT 1 AS deleted WHERE agi_router.is_deleted(%(since)s::date);

-- find_exports --
-- Whether days are exported here at all, and the last day that was.
SELECT max(e.day) AS last, min(e.day) AS first FROM agi_router.export_day e;

-- list_missing_exports --
-- Days of some that were not exported, since the first that was.
SELECT d::date AS day
  FROM generate_series(greatest(%(since)s::date, (SELECT min(e.day) FROM agi_router.export_day e)),
                       %(until)s::date, interval '1 day') d
 WHERE NOT EXISTS (SELECT 1 FROM agi_router.export_day e WHERE e.day = d::date)
 ORDER BY 1;

-- list_export_days --
-- Days before one, the latest first, back to the first that was exported or asked for: the packages of each, and whether
-- somebody wants it to be exported.
SELECT d.day::date AS day, p.packages, w.asked_at, w.asked_by, w.done_at, w.failure
  FROM generate_series(
           %(before)s::date - 1,
           least((SELECT min(e.day) FROM agi_router.export_day e), (SELECT min(o.day) FROM agi_router.export_wish o)),
           interval '-1 day') AS d (day)
 CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_agg(jsonb_build_object(
                  'sequence', e.sequence, 'made_at', e.made_at, 'numbers', e.numbers, 'recipient', e.recipient,
                  'records', e.records, 'manifest', encode(e.manifest, 'hex')) ORDER BY e.sequence, e.made_at), '[]') AS packages
         FROM agi_router.export_day e
        WHERE e.day = d.day::date) p
  LEFT JOIN agi_router.export_wish w ON w.day = d.day::date
 LIMIT %(limit)s;

-- find_manifest --
-- The manifest of a package, as it was signed.
SELECT e.signed FROM agi_router.export_day e WHERE e.day = %(day)s AND e.manifest = %(manifest)s;

-- ask_export --
-- Have a day exported soon.
INSERT INTO agi_router.export_wish (day, asked_at, asked_by)
VALUES (%(day)s, clock_timestamp(), %(by)s)
    ON CONFLICT (day) DO UPDATE
   SET asked_at = excluded.asked_at, asked_by = excluded.asked_by, done_at = NULL, failure = NULL;

-- list_export_wishes --
-- Days that wait to be exported, the oldest first.
SELECT w.day, w.asked_at FROM agi_router.export_wish w WHERE w.done_at IS NULL ORDER BY w.day;

-- note_export_tried --
-- Note what came of a wish, unless it was said again since.
UPDATE agi_router.export_wish
   SET done_at = now(), failure = %(failure)s
 WHERE day = %(day)s AND asked_at = %(asked_at)s;
