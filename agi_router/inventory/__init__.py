"""Inventory: the managed blocks that 700 numbers are taken from."""
