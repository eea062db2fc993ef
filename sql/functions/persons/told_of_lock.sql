CREATE OR REPLACE FUNCTION agi_router.told_of_lock(_lock_id bigint, _type text)
RETURNS TABLE (told_id integer, bindings jsonb)
LANGUAGE plpgsql STABLE AS $$
-- A person is known by its tags alone here: once in 2^64 a tenant is told of a stranger of the same tag.
DECLARE
    _lock agi_router.lock;
    _tags bigint[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM agi_router.tenant t WHERE _type = ANY (t.told)) THEN
        RETURN;
    END IF;
    SELECT * INTO _lock FROM agi_router.lock l WHERE l.id = _lock_id;
    -- Under every key: routes of before a rotation have the tags of then.
    IF _lock.subject = 'person' THEN
        _tags := _lock.key || ARRAY(SELECT m.key FROM agi_router.lock_mark m WHERE m.lock_id = _lock_id);
    END IF;
    RETURN QUERY
    WITH bound AS (
        SELECT b.tenant_id, b.block, b.id, b.order_id
          FROM agi_router.route r
          JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
         WHERE r.caller_tag = ANY (_tags) AND b.ended_at IS NULL
        UNION
        -- A callee has no row of its own only where caller is not null.
        SELECT b.tenant_id, b.block, b.id, b.order_id
          FROM agi_router.route r
          JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
         WHERE r.callee_tags[1] = ANY (_tags) AND r.caller IS NOT NULL AND b.ended_at IS NULL
        UNION
        SELECT b.tenant_id, b.block, b.id, b.order_id
          FROM agi_router.route r
          JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
         WHERE r.block = _lock.key / 10000 AND r.x_number = _lock.key AND _lock.subject = 'number'
           AND b.ended_at IS NULL
    )
    SELECT t.id AS tenant_id,
           coalesce((SELECT jsonb_agg(jsonb_build_object('binding_id', f.block || '-' || f.id,
                                                         'order_id', f.order_id) ORDER BY f.block, f.id)
                       FROM (SELECT b.block, b.id, b.order_id
                               FROM bound b
                              WHERE b.tenant_id = t.id
                              ORDER BY b.block, b.id
                              LIMIT 100) f), '[]') AS bindings
      FROM agi_router.tenant t
     WHERE _type = ANY (t.told)
       AND (_lock.tenant_id IS NULL OR t.id = _lock.tenant_id)
       AND (t.id = _lock.tenant_id
            OR EXISTS (SELECT 1 FROM bound b WHERE b.tenant_id = t.id)
            OR _lock.subject IN ('block', 'number')
               AND EXISTS (SELECT 1
                             FROM agi_router.block k
                            WHERE k.tenant_id = t.id
                              AND k.block = CASE _lock.subject WHEN 'block' THEN _lock.key
                                                               ELSE _lock.key / 10000 END));
END
$$;
COMMENT ON FUNCTION agi_router.told_of_lock IS 'Who is told an event about a lock: the tenant that is locked or for which it was set, those whose live bindings are on the number or have the person, and the one a block is kept for; each with its bindings, a hundred at most';
