"""What can go wrong with the benchmark itself."""


class BenchError(Exception):
    """One line for the person at the keyboard."""
