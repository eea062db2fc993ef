CREATE OR REPLACE FUNCTION agi_router.child_until(_block bigint, _child_id bigint) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
-- Not a join: hardly any call has to do with such a number, and a table more costs all of them.
BEGIN
    RETURN (SELECT least(c.ended_at, c.expires_at)
              FROM agi_router.binding c
             WHERE c.block = _block AND c.id = _child_id);
END
$$;
COMMENT ON FUNCTION agi_router.child_until IS 'Until when the number lives that was made on a call; null: there is none of this id';
