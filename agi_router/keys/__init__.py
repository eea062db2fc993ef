"""Keys: what tags and seals real numbers."""
