"""Setup: everything that stands between an Asterisk of one's own and the first call."""
