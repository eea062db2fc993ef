CREATE OR REPLACE FUNCTION agi_router.is_batch_due(_webhook_id bigint, _batch integer, _wait integer)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT d.event_id
                     FROM agi_router.delivery d
                    WHERE d.webhook_id = _webhook_id
                      AND d.next_at <= statement_timestamp() -- by the index, before what has to be reckoned
                      AND d.next_at <= statement_timestamp() - CASE WHEN d.batch IS NULL THEN _wait ELSE 0 END * interval '1 s')
        OR _wait > 0
           AND _batch <= (SELECT count(*)
                            FROM (SELECT d.event_id
                                    FROM agi_router.delivery d
                                   WHERE d.webhook_id = _webhook_id AND d.next_at <= statement_timestamp()
                                     AND d.batch IS NULL
                                   LIMIT _batch) n)
$$;
COMMENT ON FUNCTION agi_router.is_batch_due IS 'Whether a webhook is to be sent something now: a batch that is full, one whose first event has waited for so many seconds, or one that was sent before and is due again';
