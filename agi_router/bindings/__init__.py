"""Bindings: who reaches whom by which 700 number."""
