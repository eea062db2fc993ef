CREATE OR REPLACE FUNCTION agi_router.bind_asked_together(
    _block bigint, _api_key text, _api_scope text, _nonce bytea[], _signed_at timestamptz[], _pool text, _name bytea[],
    _payload bytea[], _status integer, _headers text[], _answer text[], _once text[],
    _tag_key integer, _seal_key integer, _tenant_id integer, _digit integer, _terms jsonb,
    _life interval, _longest interval, _number_quarantine interval, _party_quarantine interval, _scope integer,
    _rules jsonb, _id bigint[], _drawn bigint[], _tags text[], _place integer[], _x_number bigint[],
    _caller_tag bigint[], _shown bigint[], _side text[], _callee bytea[], _callee_tags text[], _caller bytea[])
RETURNS TABLE (id bigint, body text)
LANGUAGE plpgsql AS $$
-- As agi_router.bind_asked and in its order, and what others may wait for is taken in one order for all. Nothing is
-- waited for long, or who is in the way of one would keep up all: then none is made, and each is asked for by itself.
DECLARE
    _set    text;
    _taken  bytea[]; -- nonces
    _named  bytea[]; -- answers
    _bodies text[];
    _others integer[]; -- the places of those that fall out
    _other  integer;
    _made   bigint[];
BEGIN
    _set := set_config('lock_timeout', '100', true);
    PERFORM k.id
       FROM agi_router.api_key k
      WHERE k.id = _api_key AND k.state = 'active' AND k.expires_at > clock_timestamp() AND _api_scope = ANY (k.scopes)
        AND k.signed_until >= ALL (array_remove(_signed_at, NULL));
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF _pool IS NOT NULL THEN
        PERFORM p.id
           FROM agi_router.pool p
         WHERE p.name = _pool AND p.tenant_id = _tenant_id;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    IF array_remove(_nonce, NULL) <> '{}' THEN
        WITH taken AS (
            INSERT INTO agi_router.nonce (digest, taken_at)
            SELECT n.digest, statement_timestamp()
              FROM (SELECT unnest(array_remove(_nonce, NULL)) AS digest) n
              JOIN agi_router.nonce_since f ON f.key_id = _api_key AND f.since < ALL (array_remove(_signed_at, NULL))
             ORDER BY n.digest
                ON CONFLICT DO NOTHING
            RETURNING digest
        )
        SELECT array_agg(t.digest) INTO _taken FROM taken t;
    END IF;
    -- In JSON no text holds these words: its quotes are written otherwise.
    _bodies := ARRAY(
        SELECT CASE WHEN _life IS NULL THEN b.begun
                    ELSE replace(b.begun, '"expires_at":null',
                                 '"expires_at":"' || agi_router.write_time(now() + _life) || '"') END
          FROM (SELECT u.place,
                       replace(u.answer, '"begins_at":null',
                               '"begins_at":"' || agi_router.write_time(now()) || '"') AS begun
                  FROM unnest(_answer) WITH ORDINALITY u (answer, place) OFFSET 0) b
         ORDER BY b.place);
    IF array_remove(_name, NULL) <> '{}' THEN
        WITH kept AS (
            INSERT INTO agi_router.answer (name, payload, status, headers, body)
            SELECT n.name, n.payload, _status, n.headers::jsonb, n.body
              FROM unnest(_name, _payload, _headers, _bodies) n (name, payload, headers, body)
             WHERE n.name IS NOT NULL
             ORDER BY n.name
                ON CONFLICT DO NOTHING
            RETURNING name
        )
        SELECT array_agg(k.name) INTO _named FROM kept k;
    END IF;
    IF array_remove(_once, NULL) <> '{}' THEN
        PERFORM agi_router.hold_order(('{' || translate(array_to_string(_once, ','), '{}', '') || '}')::bigint[]);
    END IF;
    _others := ARRAY(
        SELECT p.place
          FROM (SELECT generate_subscripts(_id, 1) AS place) p
         WHERE _nonce[p.place] IS NOT NULL AND (_nonce[p.place] = ANY (_taken)) IS NOT TRUE
            OR _name[p.place] IS NOT NULL AND (_name[p.place] = ANY (_named)) IS NOT TRUE
            OR _once[p.place] IS NOT NULL
               AND EXISTS (SELECT f.id
                             FROM agi_router.find_in_order(
                                  _terms -> p.place - 1 ->> 'order_id', _once[p.place]::bigint[],
                                  _terms -> p.place - 1 ->> 'pool', NULL, _scope) f));
    FOREACH _other IN ARRAY _others LOOP
        -- An end that is past: bind_drawn leaves it out.
        _terms := jsonb_set(_terms, ARRAY[(_other - 1)::text, 'expires_at'], '"-infinity"');
    END LOOP;
    _made := ARRAY(
        SELECT d.id
          FROM agi_router.bind_drawn(
               _block, _tag_key, _seal_key, _tenant_id, _digit, _terms, _life, _longest, _number_quarantine,
               _party_quarantine, _scope, _rules, NULL, _id, _drawn, _tags, _place, _x_number, _caller_tag, _shown,
               _side, _callee, _callee_tags, _caller) d
         WHERE d.begins_at IS NOT NULL);
    IF cardinality(_made) < cardinality(_id) THEN
        -- Of what is another one's nothing is removed.
        DELETE FROM agi_router.answer a
         WHERE a.name = ANY (_named)
           AND a.name IN (SELECT n.name FROM unnest(_name, _id) n (name, id) WHERE n.id <> ALL (_made));
        DELETE FROM agi_router.nonce o
         WHERE o.digest = ANY (_taken)
           AND o.digest IN (SELECT n.nonce FROM unnest(_nonce, _id) n (nonce, id) WHERE n.id <> ALL (_made));
    END IF;
    RETURN QUERY SELECT n.id, n.body FROM unnest(_id, _bodies) n (id, body) WHERE n.id = ANY (_made);
END
$$;
COMMENT ON FUNCTION agi_router.bind_asked_together IS 'Makes bindings by bind_drawn as bind_asked makes one, for somebody who has shown one API key for all: each with its nonce, answer and order, of which no two are the same. Of each that was made a row; of the others nothing was done. Fails with 55P03, and none is made, where somebody else holds for 0.1 s what one of them needs';
