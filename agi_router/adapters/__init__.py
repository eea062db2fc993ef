"""
The doors: what talks to PostgreSQL, to Asterisk and to the file system.
"""
