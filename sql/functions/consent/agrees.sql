CREATE OR REPLACE FUNCTION agi_router.agrees(
    _tenant_id integer, _tags bigint[], _digests bytea[], _order_id text)
RETURNS boolean
LANGUAGE sql STABLE AS $$
-- Two looks into an index, however long the ledger is; where the number has a new owner, lines of the old one are
-- passed over.
    SELECT coalesce((
        SELECT l.act = 'given'
          FROM agi_router.person_mark m
         CROSS JOIN unnest(ARRAY['', _order_id]) o (order_id)
         CROSS JOIN LATERAL (
               SELECT c.id, c.act
                 FROM agi_router.consent c
                WHERE c.person_id = m.person_id AND c.tenant_id = _tenant_id
                  AND coalesce(c.order_id, '') = o.order_id AND c.purpose = 'binding'
                  -- A join costs more, also where there is no such row.
                  AND NOT EXISTS (SELECT w.person_id
                                    FROM agi_router.new_owner w
                                   WHERE w.person_id = m.person_id AND w.since > c.at)
                ORDER BY c.id DESC
                LIMIT 1) l
         WHERE m.tag = ANY (_tags) AND m.digest = ANY (_digests)
         ORDER BY l.id DESC
         LIMIT 1), false)
$$;
COMMENT ON FUNCTION agi_router.agrees IS 'Whether the person who has one of these digests agrees to be bound for a tenant, by an order, or null: by none. Of the lines about the order and those about all orders the last one speaks; none does that was said before the number had its owner of today';
