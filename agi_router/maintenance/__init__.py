"""Maintenance: keys that are rotated, rows that are over."""
