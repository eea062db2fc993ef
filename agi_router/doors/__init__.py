"""Doors: how a call comes in and its answer goes out."""
