-- A bind draws from the blocks that are kept for its tenant, and there may be thousands that are not.

CREATE INDEX block_tenant ON agi_router.block (tenant_id) WHERE tenant_id IS NOT NULL;
COMMENT ON INDEX agi_router.block_tenant IS 'Blocks that are kept for a tenant';
