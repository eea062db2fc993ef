"""
Texts of strangers, where anyone reaches A: by what they are looked up, and whom A answers.

As with calls (:meth:`agi_router.calls.store.AdmissionStore.admit`), but the stranger is written
down by the statement that takes the text: a text that was taken is never asked about again.
"""

from typing import Any

from agi_router.bindings.reach import Asked, Reach, find_reach
from agi_router.bindings.words import Callback, Mode, Side
from agi_router.calls.ports import Admission
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.messages.model import Text

__all__ = ["answered_by", "sealed_stranger", "sender_tags"]


def sender_tags(text: Text, keys: KeyRing, *, open_modes: bool) -> list[int]:
    """
    The tags to look the sender of *text* up by, in order of preference.

    Args:
        text: The text.
        keys: What tags are made with.
        open_modes: Whether strangers get through where a binding says so.
    """
    own = keys.tags(text.sender)
    # 0 is the row for anyone.
    return [*own, 0] if open_modes else own


def answered_by(text: Text, answer: Admission) -> int | None:
    """
    The binding whose A is to answer the sender of *text*, if it is taken.

    Args:
        text: The text.
        answer: What the store has said to it.

    Returns:
        Its id; :obj:`None` where the text is refused, or A answers somebody else.
    """
    hit = answer.facts.hit
    if (
        hit is None
        or hit.mode is not Mode.AX
        or hit.side is not Side.B
        or hit.callback is not Callback.LAST
    ):
        return None
    reach = find_reach(text.sender, answer.facts, now=answer.now, asked=Asked.TEXT)
    return hit.binding_id if isinstance(reach, Reach) else None


def sealed_stranger(text: Text, keys: KeyRing, binding_id: int | None) -> dict[str, Any]:
    """
    What ``admit_message`` is given to write the sender of *text* down.

    Args:
        text: The text.
        keys: To seal with.
        binding_id: Whose A is to answer it; :obj:`None`: nobody's.
    """
    if binding_id is None:
        return {"stranger_of": None, "stranger": None}
    # For the row of A, which shows the number that the text was sent to.
    x_number = text.x_number.value
    row = Row(binding_id, x_number, 0, Side.A, shown=x_number)
    return {
        "stranger_of": binding_id,
        "stranger": keys.seal([text.sender], row, Purpose.LAST_CALLER),
    }
