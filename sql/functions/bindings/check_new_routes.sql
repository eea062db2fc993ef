CREATE OR REPLACE FUNCTION agi_router.check_new_routes() RETURNS trigger
-- Without statistics the planner would look for such bindings by reading all.
LANGUAGE plpgsql SET enable_seqscan = off AS $$
-- One look for three things: each look takes a bind longer to begin than to run.
--
-- Nobody may be on an X of AX, and on one of AXE only others of AXE. Whoever adds routes holds the
-- block by its foreign key; a binding that strangers may call takes it whole, so that none of them
-- can miss the other. Without such bindings this is one look into an index.
DECLARE
    _seals   bigint;
    _counted text;
    _fault   text;
    _open    boolean; -- whether strangers may call any binding
BEGIN
    SELECT count(n.callee) + count(n.caller),
           min(agi_router.fault_of_route(n.block, n.x_number, n.shown, n.side, n.last_callee, n.last_at)),
           EXISTS (SELECT 1 FROM agi_router.binding b WHERE b.open_number IS NOT NULL)
      INTO _seals, _fault, _open
      FROM fresh n;
    IF _fault IS NOT NULL THEN
        PERFORM agi_router.refuse_row(TG_TABLE_NAME, _fault);
    END IF;
    _counted := agi_router.count_seals(_seals); -- an assignment, which starts no executor
    IF NOT _open THEN
        RETURN NULL;
    END IF;
    IF NOT EXISTS (SELECT 1
                     FROM agi_router.binding b
                    WHERE b.block = ANY (ARRAY(SELECT DISTINCT n.block FROM fresh n))
                      AND b.open_number IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    PERFORM 1
       FROM agi_router.block k
      WHERE k.block IN (SELECT n.block
                          FROM fresh n
                          JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                         WHERE b.open_number IS NOT NULL)
      ORDER BY k.block
        FOR UPDATE;
    IF FOUND THEN
        -- One that is about to expire may just be extended: wait for it.
        PERFORM 1
           FROM agi_router.binding p
          WHERE (p.block, p.id) IN (SELECT o.block, o.binding_id
                                      FROM fresh n
                                      JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                                      JOIN agi_router.route o ON o.block = n.block AND o.x_number = n.x_number
                                      JOIN agi_router.binding q ON q.block = o.block AND q.id = o.binding_id
                                     WHERE NOT (q.mode = 'axe' AND b.mode = 'axe'))
            AND p.ended_at IS NULL
          ORDER BY p.block, p.id
            FOR NO KEY UPDATE;
    END IF;
    IF EXISTS (SELECT 1
                 FROM fresh n
                 JOIN agi_router.binding p ON p.block = n.block AND p.open_number = n.x_number AND p.id <> n.binding_id
                 JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                WHERE p.ended_at IS NULL AND p.expires_at > clock_timestamp()
                  AND NOT (p.mode = 'axe' AND b.mode = 'axe'))
       OR EXISTS (SELECT 1
                    FROM fresh n
                    JOIN agi_router.binding b ON b.block = n.block AND b.id = n.binding_id
                    JOIN agi_router.route o
                      ON o.block = n.block AND o.x_number = n.x_number AND o.binding_id <> n.binding_id
                    JOIN agi_router.binding p ON p.block = o.block AND p.id = o.binding_id
                   WHERE b.open_number IS NOT NULL
                     AND p.ended_at IS NULL AND p.expires_at > clock_timestamp()
                     AND NOT (p.mode = 'axe' AND b.mode = 'axe')) THEN
        RAISE unique_violation USING
            MESSAGE = 'a number that strangers may call is shared with nobody: constraint "route_alone"',
            CONSTRAINT = 'route_alone';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.check_new_routes IS 'Looks at new routes: counts their sealed values, refuses one that is not sound, and one on a number that another binding has for itself, and such a binding where others are';

CREATE OR REPLACE TRIGGER route_new AFTER INSERT ON agi_router.route
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION agi_router.check_new_routes();
