"""The highest rate at which all is clean, by doubling and then halving the gap. No I/O."""

__all__ = ["Search"]


class Search:
    """
    A search that is told after each try whether it was clean.

    Args:
        first: The rate to begin with, per second.
        gap: What may be left between the highest clean and the lowest unclean rate, as a share of
            the former.
    """

    def __init__(self, first: int, *, gap: float = 0.05) -> None:
        self._gap = gap
        self._next = first
        self.clean = 0
        """The highest clean rate so far; 0: there was none."""
        self.unclean: int | None = None
        """The lowest unclean rate so far."""

    @property
    def rate(self) -> int | None:
        """What to try next; nothing is left to try."""
        if self.unclean is None:
            return self._next
        wide = self.unclean - self.clean > max(1, self._gap * self.clean)
        return self._next if wide else None

    def tell(self, *, clean: bool) -> None:
        """Say what became of the rate that was to be tried."""
        if clean:
            self.clean = max(self.clean, self._next)
        else:
            self.unclean = self._next
        if self.unclean is None:
            self._next = 2 * self._next
        else:
            self._next = (self.clean + self.unclean) // 2
