"""
The migrations (``NNNN_what.sql``) and the named queries (``queries.sql``), shipped as files.
"""
