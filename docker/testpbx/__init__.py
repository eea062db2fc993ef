"""The test PBX: Asterisk, PostgreSQL and the router on one machine, with Docker or without."""
