"""Persons: who is locked, why, and for how long; numbers, blocks and tenants are locked alike."""
