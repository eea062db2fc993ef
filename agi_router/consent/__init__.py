"""Consent: who has agreed to be reached through 700 numbers, for whom, and who no longer does."""
