-- Calls that are not settled are found by an index that holds no others: whoever reconciles asks for
-- all of them, however old, and reads no day of calls for it.
--
-- The price: a settlement changes the column of this index's condition, so it is no HOT update any
-- more and writes its row's key anew. A look through a day of 20 million calls, every few minutes,
-- costs more.

CREATE INDEX call_reserved ON agi_router.call (id COLLATE "C") WHERE state = 'reserved';
COMMENT ON INDEX agi_router.call_reserved IS 'Calls that take a use and are not settled: running, or their end was not seen';
