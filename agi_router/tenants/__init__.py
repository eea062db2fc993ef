"""Tenants: the business users whose orders the bindings serve."""
