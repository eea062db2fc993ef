-- Import: a binding is recognised by its order and its parties, so that the same file changes nothing
-- when it is read again.

ALTER TABLE agi_router.binding ADD COLUMN order_tag bigint;
COMMENT ON COLUMN agi_router.binding.order_tag IS 'Keyed hash of tenant, order, mode and the parties it was made for; null without an order';

-- Whoever asks for an order alone finds it by the same index.
DROP INDEX agi_router.binding_order;
CREATE INDEX binding_order ON agi_router.binding (order_id, order_tag) WHERE order_id IS NOT NULL;
