"""The extensions that carry a decision: what holds for any decision."""

from __future__ import annotations

import re
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from agi_router.bindings.modes import GROUP_MAX
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Display, Language
from agi_router.calls.decision import Refusal, Route
from agi_router.calls.dialplan import to_dial, to_refuse
from agi_router.calls.treatment import treat
from agi_router.numbers import PhoneNumber, XNumber
from harness.draws import fixed_lines, mobiles

SECOND = timedelta(seconds=1)

x_numbers = st.integers(700 * 10**12, 701 * 10**12 - 1).map(XNumber.from_int)
numbers = (mobiles | fixed_lines).map(lambda digits: PhoneNumber(digits=digits))
languages = st.sampled_from(Language)
# As long as settings and bindings may say.
rings = st.timedeltas(min_value=SECOND, max_value=timedelta(seconds=120))
spans = st.timedeltas(min_value=SECOND, max_value=timedelta(hours=4))
sets = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,15}", fullmatch=True)
routes = st.builds(
    Route,
    binding=st.from_regex(r"700[0-9]{8}-[1-9][0-9]{0,18}", fullmatch=True),
    callees=st.lists(numbers, min_size=1, max_size=GROUP_MAX, unique=True).map(tuple),
    shown=x_numbers,
    ring_timeout=st.none() | rings,
    max_duration=st.none() | spans,
    language=st.none() | languages,
    sequence=st.booleans(),
    display=st.sampled_from(Display),
    prompts=st.none() | sets,
)
refusals = st.builds(
    Refusal,
    reason=st.sampled_from(Reason),
    binding=st.none() | st.from_regex(r"700[0-9]{8}-[1-9][0-9]{0,18}", fullmatch=True),
    language=st.none() | languages,
    prompts=st.none() | sets,
)


@given(routes, rings, spans, languages)
def test_a_route_is_carried_whole(
    route: Route, ring: timedelta, longest: timedelta, language: Language
) -> None:
    """Joined and split at the stars it is the route again; each part is under 80 characters."""
    first = to_dial(route, ring_timeout=ring, max_duration=longest, language=language)
    parts = [first, *first.later]
    assert [part.context for part in parts] == [
        *["agi-router-part"] * len(first.later),
        "agi-router-sequence"
        if route.sequence
        else "agi-router-dial"
        if len(route.callees) <= 100
        else "agi-router-many",
    ]
    for part in parts:
        assert len(part.extension) < 80
        # _X. is what the contexts take.
        assert re.fullmatch(r"[0-9][0-9A-Za-z_*+-]+", part.extension)
    assert "".join(part.extension for part in parts).split("*") == [
        "+".join(callee.digits for callee in route.callees),
        route.shown.digits,
        str((route.ring_timeout or ring) // SECOND),
        str((route.max_duration or longest) // SECOND),
        (route.language or language).value,
        "n" if route.display is Display.NUMBER else "a",
        route.prompts or "",
        "end",
    ]


@given(refusals, languages)
def test_a_refusal_is_carried_whole(refusal: Refusal, language: Language) -> None:
    """Split at the stars it is the refusal again; under 80 characters; the dialplan takes it."""
    destination = to_refuse(refusal, language=language)
    extension = destination.extension
    assert destination.context == "agi-router-refuse"
    assert len(extension) < 80
    # _[a-z]. is what the context takes.
    assert re.fullmatch(r"[a-z][0-9A-Za-z_*-]+", extension)
    reason, prompt, cause, spoken, prompts, end = extension.split("*")
    assert prompts == (refusal.prompts or "")
    assert Reason(reason) is refusal.reason
    assert (prompt, int(cause)) == tuple(reversed(treat(refusal)))
    assert (Language(spoken), end) == (refusal.language or language, "end")


@given(routes, rings, spans, languages, st.data())
def test_a_cut_is_noticed(
    route: Route, ring: timedelta, longest: timedelta, language: Language, data: st.DataObject
) -> None:
    """Wherever the last part is cut, the eighth field is not the mark that is looked for."""
    first = to_dial(route, ring_timeout=ring, max_duration=longest, language=language)
    extension = [first, *first.later][-1].extension
    cut = extension[: data.draw(st.integers(0, len(extension) - 1))]
    assert cut.split("*")[7:] != ["end"]
