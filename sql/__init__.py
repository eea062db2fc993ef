"""
What runs in PostgreSQL, shipped as files: ``migrations/``, ``functions/`` and ``queries/``.
"""
