"""PostgreSQL: connections, sessions, queries, migrations, rights."""
