"""
Other people's calls beside an attack, and what became of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from chaos.conftest import Callers

from harness.load import Caller, Load
from harness.stalls import Stalls, watching
from harness.table import Table
from testpbx.waiting import until

__all__ = ["Others"]

_RATE = 30
_TALK = 1.0
# A busy machine costs some calls their answer, attack or not; they must be refused in an orderly
# way. An attack that works costs more than one in eight.
_FEW = 8
# Where a machine stands still for so many seconds, half of them may be refused.
_STALL = 0.5


class Others:
    """
    The calls of other people beside an attack.

    Args:
        callers: Who calls.
        table: Where what became of them is told.
    """

    def __init__(self, callers: Callers, table: Table) -> None:
        self._callers = callers
        self._table = table
        self.load = Load([])
        self._stalls = Stalls()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """
        Let them call for the time of a block, and tell afterwards what became of them.
        """
        with (
            watching() as self._stalls,
            self._callers.call(rate=_RATE, talk=_TALK) as caller,
        ):
            assert until(lambda: bool(caller.so_far().answered), timeout=60)
            yield
            # An attack may be over before a second of calls was placed.
            caller.places(_RATE)
            self.load = caller.done(timeout=60)

    def also(self, pairs: list[tuple[str, str]], *, rate: int) -> Caller:
        """
        Place calls that are the attacker's own: what becomes of them is told apart.
        """
        return self._callers.call(rate=rate, talk=_TALK, pairs=pairs)

    def judge(self, attack: str, learnt: str = "nothing") -> None:
        """
        Write the row of an attack, and make sure that no one else suffered by it.
        """
        self._table.row(
            attack,
            "all other calls answered, nobody's number told",
            f"{self.load}; learnt: {learnt}",
        )
        calls = len(self.load.calls)
        assert calls >= _RATE, str(self.load)
        assert not self.load.lost, str(self.load)
        assert not self.load.dropped, str(self.load)
        assert self.load.answered, str(self.load)
        few = len(self.load.refused) <= calls // _FEW
        assert few or self._stalls.longest > _STALL, str(self.load)
