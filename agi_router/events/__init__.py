"""Events: what tenants are told, and how it gets to them."""
