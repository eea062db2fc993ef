-- Keys: which are known, which are current, how much they have sealed.

-- remember_key --
-- Remember a key's fingerprint, unless one of this kind and id is known.
INSERT INTO agi_router.key (kind, id, fingerprint)
VALUES (%(kind)s, %(id)s, %(fingerprint)s)
    ON CONFLICT DO NOTHING;

-- list_keys --
-- The keys this database knows, what they are for, and how many values each has sealed.
SELECT k.kind, k.id, k.fingerprint, k.state, k.seen_at, k.current_at,
       CASE WHEN k.kind = 'seal' AND k.current_at IS NOT NULL
            THEN coalesce((SELECT min(n.sealed_before)
                             FROM agi_router.key n
                            WHERE n.kind = k.kind AND n.current_at > k.current_at),
                          agi_router.seals_so_far()) - k.sealed_before END AS sealed
  FROM agi_router.key k
 ORDER BY k.kind, k.id;

-- lock_keys --
-- Wait until all who write are done, and keep others off until the transaction ends.
SELECT agi_router.lock_keys(%(milliseconds)s::integer);

-- lock_keys_behind --
-- The same in all cells; after lock_keys.
SELECT agi_router.run_behind('lock_keys', ARRAY[%(milliseconds)s::text]);

-- hold_keys --
-- Wait until nobody has locked the keys, and keep them from being locked until the transaction ends; whether they are
-- current is not judged, as they may be about to be replaced.
LOCK TABLE agi_router.key IN ROW SHARE MODE;

-- make_current --
-- Write with this key from now on; under lock_keys.
SELECT agi_router.make_current(k.kind, k.id, k.fingerprint)
  FROM agi_router.key k
 WHERE k.kind = %(kind)s AND k.id = %(id)s;

-- make_current_behind --
-- The same in all cells; under lock_keys_behind.
SELECT agi_router.run_behind('make_current', ARRAY[k.kind, k.id::text, k.fingerprint::text])
  FROM agi_router.key k
 WHERE k.kind = %(kind)s AND k.id = %(id)s;

-- retire_key --
-- No row needs this key any more; under lock_keys.
UPDATE agi_router.key SET state = 'retired' WHERE kind = %(kind)s AND id = %(id)s;

-- destroy_key --
-- What this key has sealed is to be read by nobody any more; under lock_keys.
UPDATE agi_router.key SET state = 'destroyed' WHERE kind = 'seal' AND id = %(id)s AND state = 'old';

-- assert_current_keys --
-- Make sure that these are the current keys until the transaction ends.
SELECT agi_router.assert_current_keys(NULL, %(tag_key)s::integer, %(seal_key)s::integer);

-- count_seals --
-- Count values that were sealed.
SELECT agi_router.count_seals(%(count)s::bigint);
