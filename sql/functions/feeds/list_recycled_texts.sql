CREATE OR REPLACE FUNCTION agi_router.list_recycled_texts(_tags bigint[])
RETURNS TABLE (
    block bigint, id text, binding_id bigint, x_number bigint, caller_tag bigint, shown bigint, side text, last_callee bytea,
    last_at timestamptz, n bigint)
LANGUAGE sql STABLE AS $$
    SELECT o.block, o.id, o.binding_id, o.x_number, o.caller_tag, o.shown, o.side, o.callee,
           coalesce(r.last_at, o.received_at), n.n
      FROM unnest(_tags) WITH ORDINALITY n (tag, n)
      JOIN agi_router.message_out o ON o.stranger_tag = n.tag
      LEFT JOIN agi_router.route r
        ON r.block = o.block AND r.binding_id = o.binding_id AND r.side = 'a' AND r.last_callee = o.callee
$$;
COMMENT ON FUNCTION agi_router.list_recycled_texts IS 'Texts that are owed to strangers with one of these tags; last_at: when the stranger was heard of, or, where another one has been since, when the text was accepted; n: the place of the tag';
