-- Managed blocks, and how full they are.

-- count_blocks --
-- How many managed blocks there are in each state.
SELECT state, count(*) AS blocks FROM agi_router.block GROUP BY state;

-- count_numbers --
-- Of the next numbers of active blocks behind one, at most so many: how many are bound, how many rest, and which is the
-- last; no row behind the last.
SELECT max(x.x_number) AS last,
       count(*) AS numbers,
       count(*) FILTER (WHERE x.bound) AS bound,
       count(*) FILTER (WHERE NOT x.bound AND x.rests_until IS NOT NULL) AS resting
  FROM (SELECT block, greatest(block * 10000, %(after)s + 1) AS first, block * 10000 + 9999 AS last
          FROM agi_router.block
         WHERE state = 'active' AND block >= (%(after)s + 1) / 10000
         ORDER BY block
         LIMIT 1) k
 CROSS JOIN LATERAL agi_router.number_states(
       k.block, k.first, least(k.last, k.first + %(limit)s - 1), %(number_quarantine)s, clock_timestamp()) x
HAVING count(*) > 0;

-- add_block --
-- Add a managed block; no row if it is there already.
INSERT INTO agi_router.block (block, operator, certificate, tenant_id, valid_from, valid_until)
VALUES (%(block)s, %(operator)s, %(certificate)s, %(tenant_id)s,
        coalesce(%(valid_from)s, '-infinity'::timestamptz), coalesce(%(valid_until)s, 'infinity'::timestamptz))
    ON CONFLICT DO NOTHING
RETURNING block;

-- lock_block --
-- Wait until the bindings that are just being made in a block are there, and keep others off.
SELECT block FROM agi_router.block WHERE block = %(block)s FOR UPDATE;

-- count_alive --
-- How many bindings live in a block, and when the last of them ends by time.
SELECT count(*) AS bindings, max(expires_at) AS until
  FROM agi_router.binding
 WHERE block = %(block)s AND ended_at IS NULL AND expires_at > clock_timestamp();

-- set_block_state --
-- Say whether a block takes new bindings, and calls; no row if it is not ours, or has this state.
UPDATE agi_router.block
   SET state = %(state)s
 WHERE block = %(block)s AND state <> %(state)s
RETURNING block;

-- certify_block --
-- Say by what a block is assigned, and from when until when; no row if it is not ours, or it was said already.
UPDATE agi_router.block
   SET certificate = %(certificate)s, valid_from = coalesce(%(valid_from)s::timestamptz, '-infinity'),
       valid_until = coalesce(%(valid_until)s::timestamptz, 'infinity')
 WHERE block = %(block)s
   AND (certificate, valid_from, valid_until)
       IS DISTINCT FROM (%(certificate)s::text, coalesce(%(valid_from)s::timestamptz, '-infinity'),
                         coalesce(%(valid_until)s::timestamptz, 'infinity'))
RETURNING block;

-- find_moving --
-- A row where a block is on its way to another cell, at the end of which it gets the state that it had.
SELECT 1 WHERE agi_router.is_moving(%(block)s);

-- list_writers --
-- Who keeps the cell of a block from hearing of what is said of it.
SELECT w.id FROM agi_router.list_writers(%(block)s) w (id);

-- tell_block --
-- Tell of a block that has another state or certificate now: whom it is kept for, or who has live bindings in it.
SELECT agi_router.tell(
           NULL, NULL, t.id, 'number.changed', NULL,
           jsonb_build_object('block', k.block::text, 'state', k.state,
                              'valid_until', nullif(k.valid_until, 'infinity'), 'shared', k.tenant_id IS NULL))
  FROM agi_router.block k
  JOIN agi_router.tenant t
    ON 'number.changed' = ANY (t.told)
   AND (t.id = k.tenant_id
        OR k.tenant_id IS NULL
           AND EXISTS (SELECT b.id
                         FROM agi_router.binding b
                        WHERE b.block = k.block AND b.tenant_id = t.id AND b.ended_at IS NULL
                          AND b.expires_at > clock_timestamp()))
 WHERE k.block = %(block)s;

-- is_cell --
-- Whether this database is a cell's, which knows some of the blocks of a tenant alone.
SELECT agi_router.heard_ago() IS NOT NULL AS is_cell;

-- forget_renewed --
-- Forget that the certificate of a block was to end soon, where it is not any more.
DELETE FROM agi_router.notice n
 WHERE n.type = 'block.expiring'
   AND NOT EXISTS (SELECT k.block
                     FROM agi_router.block k
                    WHERE k.block::text = n.subject AND k.state <> 'returned'
                      AND k.valid_until <= statement_timestamp() + %(ahead)s::interval);

-- claim_expiring --
-- A block whose certificate ends soon, and tenants that are told of such: who was not told of this one, and has not been looked
-- for in it for a while. No row if there is none, or somebody else looks now.
WITH due AS (
    SELECT k.block, ARRAY(
               SELECT t.id
                 FROM agi_router.tenant t
                 LEFT JOIN agi_router.notice n
                   ON n.tenant_id = t.id AND n.type = 'block.expiring' AND n.subject = k.block::text
                WHERE 'block.expiring' = ANY (t.told) AND coalesce(k.tenant_id, t.id) = t.id AND n.told_at IS NULL
                  AND (n.looked_at IS NULL OR n.looked_at <= statement_timestamp() - %(every)s::interval)
                ORDER BY t.id) AS tenants
      FROM agi_router.block k
     WHERE k.state <> 'returned' AND k.valid_until > statement_timestamp()
       AND k.valid_until <= statement_timestamp() + %(ahead)s::interval
), one AS (
    SELECT d.block, d.tenants FROM due d WHERE d.tenants <> '{}' ORDER BY d.block LIMIT 1
), claimed AS (
    INSERT INTO agi_router.notice AS n (tenant_id, type, subject, looked_at)
    SELECT u.id, 'block.expiring', o.block::text, statement_timestamp()
      FROM one o
     CROSS JOIN unnest(o.tenants) u (id)
        ON CONFLICT (tenant_id, type, subject) DO UPDATE
       SET looked_at = excluded.looked_at
     WHERE n.looked_at <= excluded.looked_at - %(every)s::interval
    RETURNING n.tenant_id
)
SELECT o.block, array_agg(c.tenant_id ORDER BY c.tenant_id) AS tenants
  FROM one o
 CROSS JOIN claimed c
 GROUP BY o.block;

-- tell_expiring --
-- Tell those of some tenants whom it concerns that a block's certificate ends soon; see the function.
SELECT agi_router.tell_expiring(%(tenants)s::integer[], %(block)s) AS told;

-- claim_stock --
-- A tenant that is told of few numbers, whose blocks nobody has counted for a while: these, and which of them are of each of
-- its pools. No row if there is none, or somebody else counts them now.
WITH due AS (
    SELECT t.id
      FROM agi_router.tenant t
      LEFT JOIN agi_router.notice n ON n.tenant_id = t.id AND n.type = 'pool.low' AND n.subject = ''
     WHERE 'pool.low' = ANY (t.told)
       AND (n.looked_at IS NULL OR n.looked_at <= statement_timestamp() - %(every)s::interval)
       AND EXISTS (SELECT k.block FROM agi_router.block k WHERE k.tenant_id = t.id AND k.state <> 'returned')
     ORDER BY n.looked_at NULLS FIRST, t.id
     LIMIT 1
), gone AS (
    DELETE FROM agi_router.notice n
     USING due d
     WHERE n.tenant_id = d.id AND n.type = 'pool.low' AND n.subject <> ''
       AND NOT EXISTS (SELECT p.id FROM agi_router.pool p WHERE p.tenant_id = n.tenant_id AND p.name = n.subject)
), claimed AS (
    INSERT INTO agi_router.notice AS n (tenant_id, type, subject, looked_at)
    SELECT d.id, 'pool.low', '', statement_timestamp() FROM due d
        ON CONFLICT (tenant_id, type, subject) DO UPDATE
       SET looked_at = excluded.looked_at
     WHERE n.looked_at <= excluded.looked_at - %(every)s::interval
    RETURNING n.tenant_id
)
SELECT d.id AS tenant_id,
       ARRAY(SELECT k.block
               FROM agi_router.block k
              WHERE k.tenant_id = d.id AND k.state <> 'returned'
              ORDER BY k.block) AS blocks,
       (SELECT coalesce(jsonb_object_agg(p.name, (
               SELECT coalesce(jsonb_agg(k.block), '[]')
                 FROM agi_router.block k
                WHERE k.tenant_id = d.id AND k.state <> 'returned'
                  AND (p.blocks = '{}' OR k.block = ANY (p.blocks))
                  AND (p.operator_digit IS NULL OR k.block / 10000000 %% 10 = p.operator_digit))), '{}')
          FROM agi_router.pool p
         WHERE p.tenant_id = d.id) AS pools
  FROM due d
  JOIN claimed c ON c.tenant_id = d.id;

-- tell_low --
-- Keep whether a tenant has few numbers, and tell it where that is new; see the function.
SELECT agi_router.tell_low(%(tenant_id)s, %(pool)s, %(low)s, %(data)s::jsonb) AS told;

-- list_blocks --
-- The blocks, or one of them, with the number of bindings that live in each, by their numbers: all, or a page. Infinite
-- dates read as null.
SELECT k.block, k.operator, k.certificate, t.name AS tenant, k.state, k.created_at,
       nullif(k.valid_from, '-infinity') AS valid_from, nullif(k.valid_until, 'infinity') AS valid_until,
       (SELECT count(*)
          FROM agi_router.binding b
         WHERE b.block = k.block AND b.ended_at IS NULL AND b.expires_at > clock_timestamp()) AS bindings
  FROM agi_router.block k
  LEFT JOIN agi_router.tenant t ON t.id = k.tenant_id
 WHERE (%(block)s::bigint IS NULL OR k.block = %(block)s) AND agi_router.in_scope(k.tenant_id, %(scope)s)
   AND (%(after)s::bigint IS NULL OR k.block > %(after)s)
 ORDER BY k.block
 LIMIT %(limit)s;

-- list_cells --
-- The cells by their numbers, with the blocks that each has.
SELECT cell, name, away, blocks FROM agi_router.list_cells() ORDER BY cell;

-- step_move --
-- Begin to move a block to another cell, or take the next step; no row if it is not ours.
SELECT * FROM agi_router.step_move(%(block)s, %(to)s);

-- hold_moves --
-- See that all that lives is in lists, and stays in them until the transaction ends.
SELECT agi_router.hold_moves();

-- undo_move --
-- Leave a block where it was; no row if it is not being moved, and nothing is left where it did not come to.
SELECT undone FROM agi_router.undo_move(%(block)s);

-- set_cell_away --
-- Say that a cell does not answer, or that it does; no row if there is none of that name.
SELECT name FROM agi_router.set_cell_away(%(name)s, %(away)s);

-- list_loads --
-- What each cell has to do, by their numbers.
SELECT * FROM agi_router.list_loads() ORDER BY cell;

-- look_at_cells --
-- Which of the databases behind this one take what is changed here; see the function.
SELECT * FROM agi_router.look_at_cells(%(beat)s) c ORDER BY c.name;

-- look_at_cell --
-- What one of them says of itself.
SELECT * FROM agi_router.look_at_cell(%(name)s);

-- look_at_proxy --
-- Whether they are asked as they should be.
SELECT * FROM agi_router.look_at_proxy();

-- pool_statistics --
-- Of each block that is not returned: what keeps new bindings out, and how many numbers are bound, rest, are locked but
-- neither, and were held a day ago. Of a pool: of its blocks, as far as they are its tenant's or shared.
SELECT k.block, k.state, t.name AS tenant, n.now, s.bound, s.resting, s.locked,
       coalesce(agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until, NULL, NULL, n.now),
                CASE WHEN EXISTS (SELECT f.lock_id
                                    FROM agi_router.find_locks(
                                         ARRAY[k.block], coalesce(%(scope)s::integer, k.tenant_id), n.now, '{}') f)
                     THEN 'locked' END) AS closed,
       agi_router.count_held(k.block, %(number_quarantine)s, n.now - interval '1 day') AS held_before
  FROM agi_router.block k
 CROSS JOIN (SELECT now() AS now) n
  LEFT JOIN agi_router.tenant t ON t.id = k.tenant_id
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE x.bound) AS bound,
              count(*) FILTER (WHERE NOT x.bound AND x.rests_until IS NOT NULL) AS resting,
              count(l.key) FILTER (WHERE NOT x.bound AND x.rests_until IS NULL) AS locked
         FROM agi_router.number_states(
                k.block, k.block * 10000, k.block * 10000 + 9999, %(number_quarantine)s, n.now) x
         LEFT JOIN (
              SELECT DISTINCT m.key
                FROM agi_router.lock_mark m
               WHERE m.key BETWEEN k.block * 10000 AND k.block * 10000 + 9999 AND m.subject = 'number'
                 AND m.starts_at <= n.now AND (m.ends_at IS NULL OR m.ends_at > n.now)
                 AND (m.tenant_id IS NULL OR m.tenant_id = coalesce(%(scope)s::integer, k.tenant_id))) l
                ON l.key = x.x_number) s
 WHERE k.state <> 'returned' AND agi_router.in_scope(k.tenant_id, %(scope)s)
   AND (%(tenant)s::text IS NULL OR t.name IS NULL OR t.name = %(tenant)s)
   AND (%(digit)s::integer IS NULL OR k.block / 10000000 %% 10 = %(digit)s)
   AND (%(blocks)s::bigint[] IS NULL OR %(blocks)s::bigint[] = '{}' OR k.block = ANY (%(blocks)s::bigint[]))
 ORDER BY k.block;

-- find_number_state --
-- Whether anybody is bound on one number, until when it rests (null: it does not), and whether it or its block is locked.
-- No row if it is of no block, or of another tenant's.
SELECT n.bound, n.rests_until,
       EXISTS (SELECT f.lock_id
                 FROM agi_router.find_locks(
                      ARRAY[%(x_number)s, %(block)s]::bigint[], coalesce(%(scope)s::integer, k.tenant_id),
                      clock_timestamp(), '{}') f) AS locked
  FROM agi_router.block k
 CROSS JOIN agi_router.number_states(
       %(block)s, %(x_number)s, %(x_number)s, %(number_quarantine)s, clock_timestamp()) n
 WHERE k.block = %(block)s AND k.state <> 'returned'
   AND (k.tenant_id IS NULL OR agi_router.in_scope(k.tenant_id, %(scope)s));

-- list_unrested --
-- The numbers of a block that do not rest, and whether anybody is bound on them; of a tenant's own block or a shared one.
SELECT x_number, bound
  FROM agi_router.number_states(
       %(block)s, %(block)s::bigint * 10000, %(block)s::bigint * 10000 + 9999, %(number_quarantine)s,
       clock_timestamp())
 WHERE rests_until IS NULL
   AND (SELECT k.tenant_id IS NULL OR agi_router.in_scope(k.tenant_id, %(scope)s)
          FROM agi_router.block k
         WHERE k.block = %(block)s);

-- find_block --
-- One block and what keeps a tenant's new bindings out of it; null: nothing does.
SELECT coalesce(agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                                      %(tenant_id)s, %(digit)s, clock_timestamp(), %(blocks)s::bigint[]),
                CASE WHEN EXISTS (SELECT f.lock_id FROM agi_router.find_locks(ARRAY[k.block], NULL, clock_timestamp(), '{}') f)
                     THEN 'locked' END) AS closed
  FROM agi_router.block k
 WHERE k.block = %(block)s;

-- find_opening --
-- Where a tenant may make bindings; see agi_router.open_blocks.
SELECT *
  FROM agi_router.open_blocks(
       %(tenant)s, %(digit)s::integer, %(draws)s, %(count)s, %(scope)s::integer,
       %(blocks)s::bigint[]);

-- list_open_blocks --
-- All blocks in which a tenant may make new bindings, and whether they are kept for it: its own, then the shared ones.
SELECT k.block, k.tenant_id IS NOT NULL AS own
  FROM agi_router.block k
 WHERE agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                             %(tenant_id)s, %(digit)s, clock_timestamp(), %(blocks)s::bigint[]) IS NULL
   AND NOT EXISTS (SELECT f.lock_id FROM agi_router.find_locks(ARRAY[k.block], NULL, clock_timestamp(), '{}') f)
 ORDER BY k.tenant_id NULLS LAST, k.block;

-- count_closed --
-- How many blocks are closed to a tenant's new bindings, by what closes them.
SELECT c.closed, count(*) AS blocks
  FROM (SELECT coalesce(agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                                              %(tenant_id)s, %(digit)s, clock_timestamp(), %(blocks)s::bigint[]),
                        CASE WHEN EXISTS (SELECT f.lock_id FROM agi_router.find_locks(ARRAY[k.block], NULL, clock_timestamp(), '{}') f)
                             THEN 'locked' END) AS closed
          FROM agi_router.block k) c
 WHERE c.closed IS NOT NULL
 GROUP BY c.closed;

-- list_all_open_blocks --
-- The blocks that take new bindings, each with the tenant it is kept for.
SELECT block, tenant_id
  FROM agi_router.block k
 WHERE agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                             NULL, NULL, now()) IS NULL
   AND NOT EXISTS (SELECT f.lock_id FROM agi_router.find_locks(ARRAY[k.block], NULL, clock_timestamp(), '{}') f)
 ORDER BY block;

-- lock_open_blocks --
-- Of some blocks those that take new bindings; they will until the transaction ends.
SELECT block
  FROM agi_router.block k
 WHERE block = ANY (%(block)s)
   AND agi_router.why_closed(k.block, k.tenant_id, k.state, k.valid_from, k.valid_until,
                             NULL, NULL, now()) IS NULL
   AND NOT EXISTS (SELECT f.lock_id FROM agi_router.find_locks(ARRAY[k.block], NULL, clock_timestamp(), '{}') f)
 ORDER BY block
   FOR KEY SHARE;
