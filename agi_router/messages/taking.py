"""
Taking a text: the store and the rules together, and the number that its receiver is to be shown.

Whose binding it is, and so by which rules of its tenant it is judged, only the store knows. So a
text of a tenant who has some is offered twice: unjudged, which takes nothing, and judged. So no
use is taken, and none has to come back, where a verification service says no. All texts are, where
the operator's service is asked about them, or a tenant may have so many in a time.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from agi_router.bindings.model import BindingId
from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import AllocationNeeded as ChildNeeded
from agi_router.calls.decision import Refusal
from agi_router.calls.ports import Admission, Admissions
from agi_router.calls.store import AdmissionStore
from agi_router.errors import NoNumberAvailable
from agi_router.keys.ring import KeyRing
from agi_router.messages.checker import TextChecker, TextVerdicts
from agi_router.messages.decision import AllocationNeeded, Taken, decide_text
from agi_router.messages.limits import TextLimits
from agi_router.messages.model import CARRIED, CarriedText, Hands, Text
from agi_router.messages.rules import Judged, TextRules, judge_body
from agi_router.messages.store import (
    UNASKED_OF,
    UNJUDGED,
    FoundRules,
    JudgedBy,
    MessageStore,
    Repeated,
    Unasked,
)
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["Accepted", "OpenPlace", "TextPlace", "take_text"]

# Pieces of a decision: the number that is made first, the rules of its tenant, and a use that came
# back meanwhile.
_TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    The text is stored, and will be sent.
    """

    id: str
    stored: Admission
    """By which facts."""


async def take_text(
    text: Text,
    same: bytes,
    *,
    asked: bytes | None = None,
    store: MessageStore,
    admissions: Admissions,
    checker: TextChecker | None = None,
    limits: TextLimits | None = None,
    hands: Hands | None = None,
    scope: Scope = OPERATOR,
    timeout: float,  # noqa: ASYNC109
) -> Accepted | Repeated | Unasked | Reason:
    """
    Take *text*, if every guard holds.

    Args:
        text: The text.
        same: Digest of its request, see :meth:`MessageStore.digest`.
        asked: See :meth:`MessageStore.admit`.
        store: Where it is kept.
        admissions: What makes a number that its receiver can be shown.
        checker: Who has it confirmed; without one no text is taken that its tenant wants to be.
        limits: How many texts of a tenant are taken; :obj:`None`: any number.
        hands: Who sends it as soon as it is stored; :obj:`None`: whoever looks what is due.
        scope: By whose bindings it may go.
        timeout: Seconds for each step.

    Returns:
        That it is stored, or was by the same request; or that the store could not be asked; or why
        it is refused.

    Raises:
        StoreError: Nobody knows whether it was stored.
        SealError: The receiver does not open.
    """
    name = store.name_text(text)
    judge = _Judge(store, checker, limits, timeout=timeout)
    offered, judged = text, UNASKED_OF if judge.is_asked_of_all else UNJUDGED
    for _ in range(_TRIES):
        stored = await store.admit(
            offered,
            same,
            asked=asked,
            name=name,
            judged=judged,
            hands=hands,
            scope=scope,
            timeout=timeout,
        )
        if isinstance(stored, Repeated | Unasked):
            return stored
        if stored.admitted:
            return Accepted(name, stored)
        found = decide_text(text, stored.facts, now=stored.now)
        match found:
            case Refusal():
                return found.reason
            case AllocationNeeded():
                if not await _make_number(text, found, admissions=admissions, timeout=timeout):
                    return Reason.NO_CAPACITY
            case Taken():
                fit = await judge.judge(text, name, found)
                if isinstance(fit, Reason):
                    return fit
                offered, judged = fit
    return Reason.PLATFORM_FAULT


async def _make_number(
    text: Text,
    needed: AllocationNeeded,
    *,
    admissions: Admissions,
    timeout: float,  # noqa: ASYNC109
) -> bool:
    """
    Make the number that the receiver is shown; whether there is one.
    """
    child = ChildNeeded(
        binding=needed.binding,
        binding_id=needed.binding_id,
        x_number=text.x_number,
        caller=text.sender,
        callee=needed.receiver,
    )
    try:
        await admissions.allocate(child, timeout=timeout)
    except NoNumberAvailable:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPlace:
    """
    With what texts are taken by who is no door of theirs: by hand, or by HTTP.
    """

    admissions: AdmissionStore
    checker: TextChecker
    validity: timedelta
    """How long a text is tried."""

    async def take(
        self,
        text: Text,
        same: bytes,
        *,
        asked: bytes | None = None,
        link: str,
        limits: TextLimits | None = None,
        scope: Scope = OPERATOR,
        timeout: float,  # noqa: ASYNC109
    ) -> Accepted | Repeated | Unasked | Reason:
        """
        Take a text, as :func:`take_text` does.

        Args:
            text: See there.
            same: See there.
            asked: See there.
            link: The door by which it goes out.
            limits: See there.
            scope: See there.
            timeout: See there.
        """
        return await take_text(
            text,
            same,
            asked=asked,
            store=self._store(link),
            admissions=self.admissions,
            checker=self.checker,
            limits=limits,
            scope=scope,
            timeout=timeout,
        )

    async def forget_seen(self, *, timeout: float) -> None:  # noqa: ASYNC109
        """
        Forget requests that nobody repeats any more, as doors for texts do.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        await self._store(CARRIED).forget_seen(timeout=timeout)

    def _store(self, link: str) -> MessageStore:
        admissions = self.admissions
        return MessageStore(
            admissions.pool,
            admissions.keys,
            link=link,
            validity=self.validity,
            open_modes=admissions.open_modes,
        )


OpenPlace = Callable[[KeyRing], AbstractAsyncContextManager[TextPlace]]
"""Opens one, with connections of its own, for the time of a block; given the keys."""


class _Judge:
    """
    Judges a text by the rules of its tenant, and has it confirmed.
    """

    def __init__(
        self,
        store: MessageStore,
        checker: TextChecker | None,
        limits: TextLimits | None,
        *,
        timeout: float,
    ) -> None:
        self._store = store
        self._checker = checker
        self._limits = limits
        self._timeout = timeout
        self._counted = False

    @property
    def is_asked_of_all(self) -> bool:
        """
        Whether no text is taken unjudged, whoever its tenant is.
        """
        checks = self._checker is not None and self._checker.asks_of_all
        return checks or (self._limits is not None and self._limits.of_tenants)

    async def judge(self, text: Text, name: str, found: Taken) -> tuple[Text, JudgedBy] | Reason:
        """
        What a text is to say, if it may go on, and by what it was judged; else why not.
        """
        binding = BindingId.parse(found.binding)
        of = await self._store.find_rules(binding, timeout=self._timeout)
        if of is None:
            # It has gone meanwhile, and nothing is taken by it.
            return text, UNASKED_OF
        if self._is_too_many(of.tenant_id):
            return Reason.RATE_TENANT
        fit = _fit(text, of.rules)
        if fit is None:
            return Reason.BODY_REFUSED
        verdicts = await self._check(text, name, found, of)
        if isinstance(verdicts, Reason):
            return verdicts
        # Others of its tenant may have been taken while a service was asked.
        if self._is_too_many(of.tenant_id):
            return Reason.RATE_TENANT
        if self._limits is not None and not self._counted:
            self._limits.count_tenant(of.tenant_id)
            self._counted = True
        judged = JudgedBy(
            version=of.version,
            hold=of.rules.hold,
            opts_out=fit.opts_out,
            operator=verdicts.operator,
            checked=verdicts.tenant,
        )
        return text if isinstance(text, CarriedText) else replace(text, body=fit.body), judged

    def _is_too_many(self, tenant_id: int) -> bool:
        """
        Whether it is one too many of its tenant; a text that is judged again is counted already.
        """
        limits = self._limits
        return limits is not None and not self._counted and limits.is_too_many(tenant_id)

    async def _check(
        self, text: Text, name: str, found: Taken, of: FoundRules
    ) -> TextVerdicts | Reason:
        """
        What the services say that are to be asked about a text; or why it is refused.
        """
        checker = self._checker
        if checker is None:
            nobody = TextVerdicts(operator=None, tenant=None)
            return Reason.CHECK_UNAVAILABLE if of.rules.checked else nobody
        if not (of.rules.checked or checker.asks_of_all):
            return TextVerdicts(operator=None, tenant=None)
        return await checker.check(
            text, found, name=name, of_tenant=of.rules.checked, timeout=self._timeout
        )


def _fit(text: Text, rules: TextRules) -> Judged | None:
    """
    What a text is to say by the rules of its tenant; :obj:`None`: it is refused.
    """
    if isinstance(text, CarriedText):
        # What nobody here has seen is not let through by a rule about it.
        return None if rules.needs_body else Judged(body="", opts_out=False)
    return judge_body(text.body, rules, text.sender)
