"""
The time in which a signed request is taken, and its nonce is kept.
"""

from datetime import timedelta

__all__ = ["WINDOW"]

WINDOW = timedelta(minutes=15)
"""How far a request's date may be from the clock, before and behind."""
