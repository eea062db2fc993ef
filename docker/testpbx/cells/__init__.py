"""Many on one machine: a proxy, two cells of two Asterisks, their databases, and one for all."""

DIFFERS = 3
"""How the half of the command that runs inside ends where the demo has seen a difference."""
