CREATE OR REPLACE FUNCTION agi_router.list_recycled_callers(_tags bigint[])
RETURNS TABLE (
    block bigint, binding_id bigint, x_number bigint, caller_tag bigint, shown bigint, side text, last_callee bytea,
    last_at timestamptz, mode text, n bigint)
LANGUAGE sql STABLE AS $$
    SELECT r.block, r.binding_id, r.x_number, r.caller_tag, r.shown, r.side, r.last_callee, r.last_at, b.mode, n.n
      FROM unnest(_tags) WITH ORDINALITY n (tag, n)
      JOIN agi_router.route r ON r.last_tag = n.tag
      JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
     WHERE b.ended_at IS NULL AND b.open_number IS NOT NULL
$$;
COMMENT ON FUNCTION agi_router.list_recycled_callers IS 'Routes by which one of these tags would be called back who called last, and is no party; n: the place of the tag';
