"""The extensions that carry a decision: their form, and that the dialplan reads the same one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Display, Language
from agi_router.calls import dialplan as wire
from agi_router.calls.decision import Ask, Refusal, Route
from agi_router.calls.dialplan import (
    DIALPLAN_VERSION,
    EXTENSION_MAX,
    Destination,
    to_ask,
    to_dial,
    to_refuse,
)
from agi_router.calls.treatment import treat
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.persons.effects import LockReason
from harness.values import A, B, X

LONGEST_LINE = PhoneNumber(digits="031162345678")
ROUTE = Route(
    binding="70012345678-42",
    callees=(B,),
    shown=X,
    ring_timeout=timedelta(seconds=30),
    max_duration=timedelta(minutes=10),
    language=Language.EN,
)
BARE = Route(
    binding="70012345678-42",
    callees=(B,),
    shown=X,
    ring_timeout=None,
    max_duration=None,
    language=None,
)
DIALPLAN = files("agi_router.dialplan").joinpath("agi_router.conf").read_text("utf-8")


def dial(route: Route) -> Destination:
    """Return where *route* leads on a router with the default settings."""
    return to_dial(
        route,
        ring_timeout=timedelta(seconds=45),
        max_duration=timedelta(hours=1),
        language=Language.ZH,
    )


@pytest.mark.parametrize(
    ("route", "extension"),
    [
        # The binding's own limits; the router's; a fixed line.
        (ROUTE, f"13912340002*{X}*30*600*en*n**end"),
        (BARE, f"13912340002*{X}*45*3600*zh*n**end"),
        (
            Route(
                binding="70012345678-42",
                callees=(LONGEST_LINE,),
                shown=X,
                ring_timeout=timedelta(seconds=120),
                max_duration=timedelta(hours=4),
                language=None,
            ),
            f"031162345678*{X}*120*14400*zh*n**end",
        ),
        # Who sees no number; a set of prompts.
        (
            replace(BARE, display=Display.ANONYMOUS, prompts="takeaway-2"),
            f"13912340002*{X}*45*3600*zh*a*takeaway-2*end",
        ),
        # Whose answer is told while the call goes on.
        (replace(BARE, tell_answer=True), f"13912340002*{X}*45*3600*zh*nt**end"),
        # That is recorded; that is both.
        (replace(BARE, record=True), f"13912340002*{X}*45*3600*zh*nr**end"),
        (
            replace(BARE, display=Display.ANONYMOUS, tell_answer=True, record=True),
            f"13912340002*{X}*45*3600*zh*atr**end",
        ),
        # Several who ring at once.
        (replace(BARE, callees=(A, B)), f"13912340001+13912340002*{X}*45*3600*zh*n**end"),
    ],
)
def test_to_dial(route: Route, extension: str) -> None:
    """Callees, shown, ring, longest, language, display, prompts, end; times in seconds."""
    assert dial(route) == Destination("agi-router-dial", extension)


def test_to_dial_in_sequence() -> None:
    """The same fields, another context."""
    destination = dial(replace(BARE, callees=(A, B), sequence=True))
    assert destination == Destination(
        "agi-router-sequence", f"13912340001+13912340002*{X}*45*3600*zh*n**end"
    )


@pytest.mark.parametrize(
    ("ask", "extension"),
    [
        (Ask(attempts_left=2, again=False), "ask_extension*2*zh*end"),
        (Ask(attempts_left=0, again=True), "wrong_extension*0*zh*end"),
    ],
)
def test_to_ask(ask: Ask, extension: str) -> None:
    """Prompt, tries left, language, end."""
    assert to_ask(ask, language=Language.ZH) == Destination("agi-router-ask", extension)


@pytest.mark.parametrize(
    ("refusal", "extension"),
    [
        (Refusal(reason=Reason.STRANGER), "stranger*no_relation*21*zh**end"),
        (Refusal(reason=Reason.NO_CAPACITY), "no_capacity*lines_busy*34*zh**end"),
        (
            Refusal(reason=Reason.USED_UP, binding="70012345678-42", language=Language.EN),
            "used_up*used_up*21*en**end",
        ),
        (Refusal(reason=Reason.EXPIRED, prompts="x"), "expired*order_ended*21*zh*x*end"),
    ],
)
def test_to_refuse(refusal: Refusal, extension: str) -> None:
    """Reason, prompt, cause, language, prompts, end; the binding is not told to Asterisk."""
    expected = Destination("agi-router-refuse", extension)
    assert to_refuse(refusal, language=Language.ZH) == expected


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_fits(reason: Reason, language: Language) -> None:
    """Asterisk cuts at 79 characters in silence; and only plain characters pass unquoted."""
    extension = to_refuse(Refusal(reason=reason), language=language).extension
    assert len(extension) <= EXTENSION_MAX
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\*[a-z0-9_]+){3}\*\*end", extension)
    cause, prompt = treat(Refusal(reason=reason))
    fields = [reason.value, prompt, str(cause), language.value, "", "end"]
    assert extension.split("*") == fields


@pytest.mark.parametrize("language", Language)
def test_the_longest_route_fits(language: Language) -> None:
    """The longest number and the longest times there can be stay under 80 characters."""
    longest = Route(
        binding="70099999999-9223372036854775807",
        callees=(LONGEST_LINE,),
        shown=XNumber(value=700999999999999),
        ring_timeout=timedelta.max,
        max_duration=timedelta.max,
        language=language,
    )
    assert len(dial(longest).extension) <= EXTENSION_MAX < 80


def carried(route: Route) -> list[Destination]:
    """Return all places that *route* leads to, in order."""
    first = dial(route)
    return [first, *first.later]


@pytest.mark.parametrize("language", Language)
def test_three_ring_in_one_extension(language: Language) -> None:
    """The longest times that bindings and settings allow; with a long set of prompts it is cut."""
    three = Route(
        binding="70099999999-9223372036854775807",
        callees=(A, B, LONGEST_LINE),
        shown=XNumber(value=700999999999999),
        ring_timeout=timedelta(seconds=120),
        max_duration=timedelta(hours=4),
        language=language,
        display=Display.ANONYMOUS,
    )
    assert [len(each.extension) for each in carried(three)] == [72]
    assert len(carried(replace(three, prompts="a-long-set"))) == 2
    assert EXTENSION_MAX == wire.EXTENSION_MAX


@pytest.mark.parametrize(
    ("count", "sequence", "context"),
    [
        (100, False, "agi-router-dial"),
        (101, False, "agi-router-many"),
        (200, False, "agi-router-many"),
        (200, True, "agi-router-sequence"),
    ],
)
def test_many_travel_in_parts(count: int, context: str, *, sequence: bool) -> None:
    """Joined again the parts are the whole; only the last leads on, and none is cut."""
    callees = tuple(PhoneNumber(digits=f"138{n:08}") for n in range(count))
    parts = carried(replace(BARE, callees=callees, sequence=sequence))
    assert {part.context for part in parts[:-1]} == {"agi-router-part"}
    assert parts[-1].context == context
    # Each begins with a digit, which is what the contexts take.
    assert all(re.match("[0-9].", part.extension) for part in parts)
    assert max(len(part.extension) for part in parts) <= EXTENSION_MAX
    whole = "".join(part.extension for part in parts)
    assert whole == f"{'+'.join(c.digits for c in callees)}*{X}*45*3600*zh*n**end"


def test_a_destination_does_not_show_its_extension() -> None:
    """The extension may hold a real number, so it is in no repr."""
    assert B.digits in dial(ROUTE).extension
    assert repr(dial(ROUTE)) == "Destination(context='agi-router-dial')"
    many = dial(replace(ROUTE, callees=(A, B) * 10))
    assert repr(many) == "Destination(context='agi-router-part')"


@pytest.mark.parametrize(
    ("destination", "reader"),
    [
        (dial(ROUTE), "agi-router-out"),
        (to_refuse(Refusal(reason=Reason.STRANGER), language=Language.ZH), "agi-router-refuse"),
        (to_ask(Ask(attempts_left=1, again=False), language=Language.ZH), "agi-router-ask"),
    ],
)
def test_the_dialplan_reads_what_is_written(destination: Destination, reader: str) -> None:
    """Its contexts are there, and the reading one takes as many fields as are written."""
    contexts = dict(re.findall(r"(?ms)^\[([\w-]+)\]$(.*?)(?=^\[|\Z)", DIALPLAN))
    assert destination.context in contexts
    [names] = re.findall(r"Set\(ARRAY\(([A-Z_,]+)\)=\$\{REPLACE\(\w+,\*,", contexts[reader])
    # Behind the mark may stand the cause of a leg that was dialled, and an appeal's state.
    read = names.removesuffix(",LEG_CAUSE,APPEAL").removesuffix(",WARNING").split(",")
    assert len(read) == len(destination.extension.split("*"))
    assert read[-1] == "MARK"
    assert "LANGUAGE" in read


@pytest.mark.parametrize("lock", LockReason)
@pytest.mark.parametrize("appeal", [None, "filed", "review", "upheld"])
def test_a_lock_and_its_appeal(lock: LockReason, appeal: str | None) -> None:
    """Both fit, with the longest name of a set of prompts; silence and secrecy leave them out."""
    refusal = Refusal(reason=Reason.PARTY_LOCKED, lock=lock, appeal=appeal, prompts="p" * 16)
    extension = to_refuse(refusal, language=Language.ZH).extension
    behind = "" if appeal is None else f"**{appeal}"
    assert extension == f"party_locked*you_locked_{lock}*21*zh*{'p' * 16}*end{behind}"
    assert len(extension) <= EXTENSION_MAX
    for options in ({"silent": True}, {"strict": True}):
        assert to_refuse(refusal, language=Language.ZH, **options).extension.endswith("*end")


def test_the_versions_agree() -> None:
    """The dialplan of this tree is the one that goes with the extensions of this tree."""
    assert re.findall(r"(?m)^AGI_ROUTER_DIALPLAN=(.*)$", DIALPLAN) == [DIALPLAN_VERSION]
