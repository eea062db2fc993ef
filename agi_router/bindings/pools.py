"""
Pools: named sets of 700 numbers of one tenant, with what bindings on them have by default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agi_router.bindings.modes import MODES
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.words import Callback, Language, Mode
from agi_router.cursors import Cursor
from agi_router.errors import BlockNotFound, RequestInvalid
from agi_router.numbers import Block, XNumber

__all__ = ["Pool", "check_pool_values"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """
    A pool as it is kept.

    Attributes:
        id: Its number.
        tenant: Whose it is.
        name: What its tenant calls it.
        blocks: Numbers come from these alone; none: from all that are open to the tenant.
        operator_digit: Numbers have this digit after 700; :obj:`None`: any.
        mode: The only mode of bindings in it, and that of those that say none; :obj:`None`: any.
        callback: Who is called back, where a binding does not say.
        window: How long who called last is, where a binding does not say.
        language: Of the prompts, where a binding does not say.
        prompts: The set of them, where a binding does not say.
        created_at: When it was added.
        version: How often it was said what it is.
    """

    id: int
    tenant: str
    name: str
    blocks: tuple[Block, ...]
    operator_digit: int | None
    mode: Mode | None
    callback: Callback | None
    window: timedelta | None
    language: Language | None
    prompts: str | None
    created_at: datetime
    version: int

    @property
    def cursor(self) -> Cursor:
        """
        Where the page of a list ends that it is the last of.
        """
        return Cursor(self.created_at, str(self.id))

    def takes(self, block: Block) -> bool:
        """
        Whether the numbers of *block* are of this pool.
        """
        if self.operator_digit is not None and int(block.operator) != self.operator_digit:
            return False
        return not self.blocks or block in self.blocks

    def fill(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """
        What is said of a new binding, with what this pool has where nothing is said.

        Args:
            values: By word, as :func:`agi_router.bindings.requests.make_request` takes them.

        Raises:
            RequestInvalid: No mode is said and the pool has none, or another one.
        """
        mode = values.get("mode", self.mode)
        if mode is None:
            raise RequestInvalid(f"pool {self.name} has no mode of its own: give one", ("mode",))
        self.check_mode(mode)
        defaults: dict[str, Any] = {"language": self.language, "prompts": self.prompts}
        if self.callback in _callbacks(mode):
            defaults["callback"] = self.callback
        if values.get("callback", defaults.get("callback")) is Callback.LAST:
            defaults["window"] = self.window
        filled = {word: value for word, value in defaults.items() if value is not None}
        return {**filled, "mode": mode, **values}

    def check_mode(self, mode: Mode) -> None:
        """
        Make sure that bindings by *mode* may be in this pool.

        Raises:
            RequestInvalid: They may not.
        """
        if self.mode not in {None, mode}:
            raise RequestInvalid(
                f"pool {self.name} takes bindings by {self.mode} alone", ("mode",)
            )

    def check_numbers(self, numbers: Sequence[XNumber | None]) -> None:
        """
        Make sure that those of *numbers* that are given are of this pool.

        Raises:
            BlockNotFound: One is not.
        """
        for number in numbers:
            if number is not None and not self.takes(number.block):
                raise BlockNotFound(f"block {number.block} is not of pool {self.name}")

    def narrow(self, choice: NumberPolicy) -> NumberPolicy:
        """
        The same choice, among the numbers of this pool.

        Raises:
            RequestInvalid: It asks for an operator digit that this pool does not have.
        """
        if self.operator_digit is not None and choice.operator_digit not in {
            None,
            self.operator_digit,
        }:
            raise RequestInvalid(
                f"pool {self.name} has numbers with {self.operator_digit} after 700 alone",
                ("choice/operator_digit",),
            )
        digit = choice.operator_digit if self.operator_digit is None else self.operator_digit
        return replace(choice, operator_digit=digit, blocks=self.blocks)


def check_pool_values(values: Mapping[str, Any]) -> None:
    """
    Make sure that what a pool has goes together: else no binding could be made in it as it says.

    Args:
        values: By the names of :class:`Pool`.

    Raises:
        RequestInvalid: A window without a callback of who called last, a callback that the mode
            does not have, or a block without the operator digit.
    """
    callback, mode, digit = values["callback"], values["mode"], values["operator_digit"]
    if values["window"] is not None and callback is not Callback.LAST:
        raise RequestInvalid("window goes with callback last", ("window", "callback"))
    if callback is not None and mode is not None and callback not in _callbacks(mode):
        raise RequestInvalid(
            f"callback {callback} goes with another mode: bindings by {mode} do not have it",
            ("callback", "mode"),
        )
    for block in values["blocks"]:
        if digit not in {None, int(block.operator)}:
            raise RequestInvalid(
                f"operator_digit {digit} is not that of block {block}: leave one of both out",
                ("operator_digit",),
            )


def _callbacks(mode: Mode) -> Sequence[Callback]:
    """
    Who may be called back in bindings by *mode*.
    """
    for said in MODES[mode].said():
        if said.word == "callback":
            return [each for each in Callback if each in (said.only or Callback)]
    return ()
