"""
A binding as it is asked for by whoever is answered once: what is asked, and what is answered.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agi_router.bindings.draw import Drawn, Wish, can_draw
from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Parties
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.terms import Terms

__all__ = ["Answered", "Asked"]

Answered = tuple[Mapping[str, str], str]
"""Headers and body of an answer, as they are kept."""

# Of large groups each is bound by itself: a statement has few seconds.
_PEOPLE = 8
_ANY = NumberPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What is asked for.
    """

    parties: Parties
    terms: Terms
    life: timedelta | None
    """How long it lives; :obj:`None`: until the end that its terms say."""
    choice: NumberPolicy = _ANY
    """How its number is chosen."""
    once: bool = False
    """Whether nothing is done where a binding of the same parties lives by its order."""
    kept: Mapping[str, Any]
    """
    *status* of the answer; *name* and *payload*, null where it is not kept; *pool*, of which name
    the tenant must have none.
    """
    tell: Callable[[Binding, Collection[str]], Answered]
    """
    Writes the answer. Of the binding that it is given, the names given beside are not known yet:
    in JSON they are null.
    """

    def wish(self, binding_id: int) -> Wish:
        """
        It, as a binding of this number.
        """
        return Wish(binding_id=binding_id, parties=self.parties, terms=self.terms, life=self.life)

    def answer(self, drawn: Drawn, binding_id: int, now: datetime) -> Answered:
        """
        What is answered, but for what is not known yet.

        Args:
            drawn: The numbers drawn.
            binding_id: Its number.
            now: The time that stands there meanwhile.
        """
        ends = self.terms.expires_at.astimezone(UTC) if self.life is None else now + self.life
        made = {"id": binding_id, "begins_at": now, "expires_at": ends}
        unknown = ("begins_at",) if self.life is None else ("begins_at", "expires_at")
        return self.tell(drawn.binding(made), unknown)

    @property
    def together(self) -> Any:
        """
        What is equal of those that one statement may make; :obj:`None`: it goes alone.
        """
        if not can_draw(self.parties, self.choice):
            return None
        if len(self.parties.side_a) + len(self.parties.side_b) > _PEOPLE:
            return None
        terms = self.terms
        pool, status = self.kept["pool"], self.kept["status"]
        whose = terms.tenant, terms.pool, self.parties.mode, self.choice
        return (*whose, self.life, pool, status)

    @property
    def alone(self) -> Collection[Any]:
        """
        What no two may have of those that one statement makes.
        """
        order = self.terms.order_id if self.once else None
        named = {"order": order, "answer": self.kept["name"]}
        return [(kind, value) for kind, value in named.items() if value is not None]
