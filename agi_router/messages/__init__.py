"""Texts through 700 numbers: taken, counted, stored, and sent on."""
