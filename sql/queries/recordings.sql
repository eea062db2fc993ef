-- Recordings of calls.

-- keep_recording --
-- Put a recording on record; no row: the call has one already. What was given up for lost may still come.
INSERT INTO agi_router.recording AS r (
       block, call_id, day, x_number, tenant_id, binding_id, name, vault, state, gap, begun_at, length_ms, octets, sha256,
       cipher, sealed_key)
SELECT n.block, n.call_id, n.day, n.x_number, c.tenant_id, c.binding_id, n.name, n.vault, n.state, n.gap, n.begun_at,
       n.length_ms, n.octets, n.sha256, n.cipher, n.sealed_key
  FROM (SELECT %(block)s::bigint AS block, %(call_id)s::text AS call_id, %(day)s::date AS day,
               %(x_number)s::bigint AS x_number, %(name)s::text AS name, %(vault)s::text AS vault,
               %(state)s::text AS state, %(gap)s::text AS gap,
               to_timestamp(%(begun_at_ms)s::bigint / 1000.0) AS begun_at, %(length_ms)s::integer AS length_ms,
               %(octets)s::bigint AS octets, %(sha256)s::bytea AS sha256, %(cipher)s::text AS cipher,
               %(sealed_key)s::bytea AS sealed_key) n
  LEFT JOIN agi_router.call c ON c.block = n.block AND c.id = n.call_id AND c.day = n.day
 CROSS JOIN (SELECT agi_router.count_seals(1) OFFSET 0) s
    ON CONFLICT (block, call_id, day) DO UPDATE
   SET tenant_id = excluded.tenant_id, binding_id = excluded.binding_id, name = excluded.name,
       vault = excluded.vault, state = excluded.state,
       gap = excluded.gap, begun_at = excluded.begun_at, length_ms = excluded.length_ms, octets = excluded.octets,
       sha256 = excluded.sha256, cipher = excluded.cipher, sealed_key = excluded.sealed_key
 WHERE r.state = 'missing' AND excluded.state <> 'missing'
RETURNING r.call_id;

-- is_call_over --
-- A row where a call was settled some seconds ago: nothing more of it is recorded.
SELECT c.id
  FROM agi_router.call c
 WHERE c.block = %(block)s AND c.id = %(call_id)s AND c.day = %(day)s AND c.state = 'settled'
   AND c.ended_at < clock_timestamp() - interval '5 seconds';

-- mark_lost_recordings --
-- Put on record which calls were to be recorded, and of which nothing has come for an hour; those of two days.
INSERT INTO agi_router.recording (
       block, call_id, day, x_number, tenant_id, binding_id, state, gap, begun_at, length_ms, octets)
SELECT c.block, c.id, c.day, c.x_number, c.tenant_id, c.binding_id, 'missing', 'lost', c.received_at, 0, 0
  FROM agi_router.call c
 WHERE c.record AND c.received_at > clock_timestamp() - interval '2 days' AND c.state = 'settled'
   AND c.ended_at < clock_timestamp() - interval '1 hour'
   -- What Asterisk notes of a recording is written before they talk. Whose end nobody saw may have talked.
   AND (c.outcome = 'answered' AND c.talk_ms > 0
        OR c.outcome IS NULL AND c.reason IS NULL AND c.released_by IS NULL AND c.cause = 0)
   AND NOT EXISTS (SELECT 1
                     FROM agi_router.recording r
                    WHERE r.block = c.block AND r.call_id = c.id AND r.day = c.day)
 -- Each is told by its binding's row, and these are held in this order everywhere.
 ORDER BY c.block, c.binding_id
 LIMIT 500
    ON CONFLICT DO NOTHING
RETURNING call_id;

-- is_recording_wanted --
-- A row where a tenant has its calls recorded, or a call of the last day was to be.
SELECT 1 AS wanted
 WHERE EXISTS (SELECT 1 FROM agi_router.tenant t WHERE t.record AND t.active)
    OR EXISTS (SELECT 1 FROM agi_router.call c WHERE c.record AND c.received_at > now() - interval '1 day');

-- list_recordings --
-- Recordings, the last that began first: all, or those of one call, file, tenant, binding or number, and of a time.
SELECT r.block, r.call_id, r.day, r.x_number, t.name AS tenant, r.binding_id, r.name, r.state, r.gap, r.begun_at,
       r.length_ms, r.octets, r.sha256, r.cipher, r.sealed_key
  FROM agi_router.recording r
  LEFT JOIN agi_router.tenant t ON t.id = r.tenant_id
 WHERE agi_router.in_scope(r.tenant_id, %(scope)s)
   AND (%(call_id)s::text IS NULL OR r.call_id = %(call_id)s)
   AND (%(name)s::text IS NULL OR r.name = %(name)s)
   AND (%(tenant_id)s::integer IS NULL OR r.tenant_id = %(tenant_id)s)
   AND (%(block)s::bigint IS NULL OR r.block = %(block)s AND r.binding_id = %(binding_id)s)
   AND (%(x_number)s::bigint IS NULL OR r.x_number = %(x_number)s)
   AND (%(since)s::timestamptz IS NULL OR r.begun_at >= %(since)s)
   AND (%(after_at)s::timestamptz IS NULL OR (r.begun_at, r.call_id) < (%(after_at)s, %(after_id)s))
 ORDER BY r.begun_at DESC, r.call_id DESC
 LIMIT %(limit)s;

-- list_gone_recordings --
-- Files that are to be removed from a place; never one whose key is there still, whoever says so.
SELECT g.name
  FROM agi_router.recording_gone g
 WHERE g.vault = %(vault)s
   AND NOT EXISTS (SELECT 1 FROM agi_router.recording r WHERE r.name = g.name AND r.sealed_key IS NOT NULL)
 ORDER BY g.gone_at
 LIMIT %(limit)s;

-- forget_gone_recording --
-- It was removed.
DELETE FROM agi_router.recording_gone WHERE name = %(name)s;

-- find_recording_vault --
-- The place that a file lies in whose key is there still.
SELECT r.vault FROM agi_router.recording r WHERE r.name = %(name)s AND r.sealed_key IS NOT NULL;

-- find_recording_vaults --
-- The places that files lie in, null where their key was destroyed; no row of what is on no record.
SELECT r.name, CASE WHEN r.sealed_key IS NOT NULL THEN r.vault END AS vault
  FROM agi_router.recording r
 WHERE r.name = ANY (%(names)s::text[]);

-- move_recording --
-- A file was brought to another place.
UPDATE agi_router.recording
   SET vault = %(target)s
 WHERE name = %(name)s AND vault = %(source)s AND sealed_key IS NOT NULL;

-- list_recording_names --
-- The files whose names begin with two letters, of those from a to f, and where they lie.
SELECT r.name, r.vault
  FROM agi_router.recording r
 WHERE r.name >= %(folder)s AND r.name < %(folder)s::text || 'g' AND r.sealed_key IS NOT NULL;

-- look_at_records --
-- What keeps records of recordings from being all in the lists of this database: that it is a cell's, cells that are away,
-- blocks on their way.
SELECT agi_router.heard_ago() IS NOT NULL AS is_cell,
       ARRAY(SELECT m.name FROM agi_router.list_missing() m (name) ORDER BY m.name) AS away,
       CASE WHEN (SELECT count(*) FROM agi_router.list_cells()) > 1
            THEN ARRAY(SELECT DISTINCT b.block FROM agi_router.list_loads() l, unnest(l.moving) b (block) ORDER BY b.block)
       END AS moving;

-- list_recording_keys --
-- Keys of recordings that are sealed otherwise than with this header, some of them.
SELECT r.name, r.sealed_key
  FROM agi_router.recording r
 WHERE agi_router.sealed_otherwise(r.sealed_key, %(header)s::bytea)
 ORDER BY r.name
 LIMIT %(limit)s
   FOR NO KEY UPDATE;

-- seal_recording_key --
-- Keep a key as it is sealed now.
UPDATE agi_router.recording
   SET sealed_key = %(sealed_key)s
  FROM (SELECT agi_router.count_seals(1) OFFSET 0) c
 WHERE name = %(name)s AND sealed_key IS NOT NULL
RETURNING name;

-- delete_recording --
-- Destroy the key of a recording, unless it is held or the law says to keep it still; by a trigger its file goes, too.
UPDATE agi_router.recording r
   SET state = 'deleted', sealed_key = NULL
 WHERE r.call_id = %(call_id)s AND r.sealed_key IS NOT NULL
   AND (%(early)s OR r.day <= agi_router.last_free_day(now()))
   AND NOT EXISTS (SELECT 1
                     FROM agi_router.list_held() h
                    WHERE h.block = r.block AND h.binding_id = r.binding_id)
   AND NOT EXISTS (SELECT 1 FROM agi_router.hold n WHERE n.released_at IS NULL AND n.x_number = r.x_number)
RETURNING r.name;
