-- What lets a database of agi_router become a cell: docs/operate-many.md. Its owner runs it once, behind
-- `agi-router db migrate`, and then `SELECT agi_cells.become(number)`.

CREATE SCHEMA agi_cells;
COMMENT ON SCHEMA agi_cells IS 'What makes this database one of several';

ALTER TABLE agi_router.block ADD COLUMN cell integer;
COMMENT ON COLUMN agi_router.block.cell IS 'The cell that has it: this one';

CREATE FUNCTION agi_cells.become(_cell integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- The global database gives the first ids; each cell those from here on, to numbers that B is shown.
    PERFORM setval('agi_router.binding_id', (_cell + 1) * 10000000000000, false);
END
$$;
COMMENT ON FUNCTION agi_cells.become IS 'Makes this database the cell of that number: its ids are no other''s';
