CREATE OR REPLACE FUNCTION agi_router.bind_asked(
    _block bigint, _api_key text, _api_scope text, _nonce bytea, _signed_at timestamptz, _pool text, _name bytea,
    _payload bytea, _status integer, _headers jsonb, _answer text, _once bigint[],
    _tag_key integer, _seal_key integer, _tenant_id integer, _digit integer, _terms jsonb,
    _life interval, _longest interval, _number_quarantine interval, _party_quarantine interval, _scope integer,
    _rules jsonb, _stride integer, _id bigint[], _drawn bigint[], _tags text[], _place integer[], _x_number bigint[],
    _caller_tag bigint[], _shown bigint[], _side text[], _callee bytea[], _callee_tags text[], _caller bytea[])
RETURNS TABLE (id bigint, x_number bigint, begins_at timestamptz, body text)
LANGUAGE plpgsql AS $$
-- In the order of those who ask step by step: the nonce, the name of the answer, the binding. Whatever is not
-- as it should be, nothing is left of what was done, and the caller finds out step by step what it is.
DECLARE
    _lives boolean := false; -- whether a binding of the same order and parties does
    _set text;
    _made_id bigint;
    _made_x bigint;
    _made_at timestamptz;
BEGIN
    PERFORM k.id
       FROM agi_router.api_key k
      WHERE k.id = _api_key AND k.state = 'active' AND k.expires_at > clock_timestamp() AND _api_scope = ANY (k.scopes)
            -- Else take_nonce writes to the key's row, and all that it signs would wait until this has bound.
        AND (_nonce IS NULL OR k.signed_until >= _signed_at);
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
    IF _nonce IS NOT NULL AND NOT (SELECT n.taken FROM agi_router.take_nonce(_api_key, _nonce, _signed_at) n) THEN
        RETURN;
    END IF;
    -- In JSON no text holds these words: its quotes are written otherwise.
    body := replace(_answer, '"begins_at":null', '"begins_at":"' || agi_router.write_time(now()) || '"');
    IF _life IS NOT NULL THEN
        body := replace(body, '"expires_at":null',
                        '"expires_at":"' || agi_router.write_time(now() + _life) || '"');
    END IF;
    IF _name IS NOT NULL THEN
        -- Whoever is just about to answer the same is waited for a little; what takes longer the caller waits for.
        _set := set_config('lock_timeout', '100', true);
        INSERT INTO agi_router.answer (name, payload, status, headers, body)
        VALUES (_name, _payload, _status, _headers, bind_asked.body)
            ON CONFLICT DO NOTHING;
        _set := set_config('lock_timeout', '0', true);
        IF NOT FOUND THEN
            DELETE FROM agi_router.nonce n WHERE n.digest = _nonce;
            RETURN;
        END IF;
    END IF;
    IF _once IS NOT NULL THEN
        PERFORM agi_router.hold_order(_once);
        _lives := EXISTS (
            SELECT f.id
              FROM agi_router.find_in_order(
                   _terms -> 0 ->> 'order_id', _once, _terms -> 0 ->> 'pool', NULL, _scope) f);
    END IF;
    IF NOT _lives THEN
        SELECT d.id, d.x_number, d.begins_at
          INTO _made_id, _made_x, _made_at
          FROM agi_router.bind_drawn(
               _block, _tag_key, _seal_key, _tenant_id, _digit, _terms, _life, _longest, _number_quarantine,
               _party_quarantine, _scope, _rules, _stride, _id, _drawn, _tags, _place, _x_number, _caller_tag, _shown,
               _side, _callee, _callee_tags, _caller) d;
    END IF;
    IF _made_at IS NULL THEN
        DELETE FROM agi_router.answer a WHERE a.name = _name;
        DELETE FROM agi_router.nonce n WHERE n.digest = _nonce;
        body := NULL;
    END IF;
    IF _made_id IS NOT NULL THEN
        RETURN QUERY SELECT _made_id, _made_x, _made_at, bind_asked.body;
    END IF;
END
$$;
COMMENT ON FUNCTION agi_router.bind_asked IS 'Makes one binding by bind_drawn, as somebody asks for it who has shown an API key: if that is in force still and has the scope, the nonce was not taken (null: none is needed), the tenant has no pool of this name (null: whether or not), nothing was answered under this name (null: nothing is kept), and no binding lives of the same parties by the same order (_once: tags of both; null: though one does). Keeps the answer, in which it writes the times for null. No row, or one that begins at no time as of bind_drawn: nothing was done; fails with 55P03 where an answer under this name is being made and not there in 0.1 s';
