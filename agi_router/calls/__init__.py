"""Calls: one arrival in, one decision out, one end that is settled."""
