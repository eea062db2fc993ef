CREATE OR REPLACE FUNCTION agi_router.lapse_appeals(_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    _late bigint[];
BEGIN
    WITH late AS (
        SELECT a.id
          FROM agi_router.appeal a
         WHERE a.deadline_at <= statement_timestamp() AND NOT a.overdue
         ORDER BY a.deadline_at
         LIMIT _limit
           FOR NO KEY UPDATE SKIP LOCKED
    ), told AS (
        UPDATE agi_router.appeal a
           SET state = CASE a.state WHEN 'filed' THEN 'lapsed' ELSE a.state END,
               state_at = CASE a.state WHEN 'filed' THEN a.deadline_at ELSE a.state_at END,
               deadline_at = CASE a.state WHEN 'filed' THEN NULL ELSE a.deadline_at END,
               overdue = a.state <> 'filed'
          FROM late t
         WHERE a.id = t.id
        RETURNING a.id
    )
    SELECT array_agg(t.id ORDER BY t.id) INTO _late FROM told t;
    UPDATE agi_router.lock_mark m
       SET appeal = a.state
      FROM agi_router.appeal a
     WHERE a.id = ANY (_late) AND m.lock_id = a.lock_id;
    PERFORM agi_router.tell_appeal(a.id, CASE WHEN a.overdue THEN 'appeal.overdue' ELSE 'appeal.closed' END)
       FROM agi_router.appeal a
      WHERE a.id = ANY (_late);
    PERFORM agi_router.record_by_itself(CASE WHEN a.overdue THEN 'appeal overdue' ELSE 'appeal lapse' END, 'appeal',
                                        ARRAY[a.id], NULL)
       FROM agi_router.appeal a
      WHERE a.id = ANY (_late);
    RETURN coalesce(cardinality(_late), 0);
END
$$;
COMMENT ON FUNCTION agi_router.lapse_appeals IS 'Has appeals lapse whose evidence was not complete in time, tells of reviews that are late, and returns how many there were';
