"""Bulk: bindings by the file."""
