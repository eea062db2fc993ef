"""A number protection service for 700 numbers, on Asterisk."""
