"""Feeds: which numbers carriers gave to new owners, and what becomes of their bindings."""
