"""The shipped dialplan, read as text: what it must never do, whatever the router says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Language
from agi_router.calls.decision import Refusal
from agi_router.calls.dialplan import DIALPLAN_VERSION, to_refuse
from agi_router.calls.end import Answer, parse_end, parse_line
from agi_router.doors.fastagi import token_of
from agi_router.pbx.prompts import LONGEST_NOTICE, LONGEST_NOTICES, SHORTEST_NOTICE
from agi_router.pbx.rules import ENTRY_LABEL
from agi_router.recordings.clear import CALLEE, CALLER
from agi_router.recordings.model import parse_note

DIALPLAN = files("agi_router.dialplan").joinpath("agi_router.conf").read_text("utf-8")
PROMPTS = files("agi_router.dialplan").joinpath("prompts.tsv").read_text("utf-8")

DIGITS = "XXXXXXXXXXXX"
PREFIXES = ("86", "+86", "0086")
# Before a callee's number: that of all trunks, and that of one.
PREFIX = "${AGI_ROUTER_CALLEE_PREFIX}${AGI_ROUTER_CALLEE_PREFIX_${TRUNK}}"


@dataclass(frozen=True)
class Step:
    """One priority of one extension."""

    context: str
    extension: str
    application: str
    data: str


def lines() -> Iterator[tuple[str, str]]:
    """Yield each line that is no comment, with its context."""
    context = ""
    for line in DIALPLAN.splitlines():
        text = re.split(r"(?<!\\);", line)[0].strip()
        if header := re.fullmatch(r"\[([\w-]+)\](\(\+\))?", text):
            context = header[1]
        elif text:
            yield context, text


def steps() -> list[Step]:
    """Return every step of the dialplan, in order."""
    found: list[Step] = []
    for context, text in lines():
        if context == "globals":
            continue
        exten = re.fullmatch(r"exten => ([^,]+),1(?:\(agi-router\))?,(\w+)\((.*)\)", text)
        same = re.fullmatch(r"same => n(?:\(dial\))?,(\w+)\((.*)\)", text)
        if exten:
            found.append(Step(context, *exten.groups()))
        else:
            # Nothing else is there: no include, no switch, no other label, no hint.
            assert same, text
            assert found[-1].context == context
            found.append(Step(context, found[-1].extension, *same.groups()))
    return found


STEPS = steps()
GLOBALS = dict(text.split("=", 1) for context, text in lines() if context == "globals")
CONTEXTS = re.findall(r"(?m)^\[([\w-]+)\]$", DIALPLAN)


def top_level(text: str, separator: str = ",") -> list[str]:
    """Split *text* where no parenthesis, brace or bracket is open."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "({[") - (char in ")}]")
        if char == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def assigned(step: Step) -> list[str]:
    """Return the names of the variables and functions that *step* sets."""
    assignments = {"Set": [step.data], "MSet": top_level(step.data)}.get(step.application, [])
    names: list[str] = []
    for assignment in assignments:
        # The first = outside of parentheses ends the name.
        name = top_level(assignment, "=")[0]
        array = re.fullmatch(r"ARRAY\((.*)\)", name)
        names += array[1].split(",") if array else [name]
    return names


def of(*applications: str) -> list[Step]:
    """Return the steps that run one of *applications*."""
    return [step for step in STEPS if step.application in applications]


def test_the_contexts() -> None:
    """These, each once."""
    assert CONTEXTS == [
        "globals",
        "agi-router-in",
        "agi-router-in-fastagi",
        "agi-router-old",
        "agi-router-entered-old",
        "agi-router-entered",
        "agi-router-entered-fastagi",
        "agi-router-rate",
        "agi-router-caller",
        "agi-router-fallback",
        "agi-router-dial",
        "agi-router-many",
        "agi-router-sequence",
        "agi-router-part",
        "agi-router-more",
        "agi-router-next",
        "agi-router-out",
        "agi-router-notice",
        "agi-router-joined",
        "agi-router-recording",
        "agi-router-answered",
        "agi-router-recorded",
        "agi-router-kept",
        "agi-router-mute",
        "agi-router-unanswered",
        "agi-router-ask",
        "agi-router-refuse",
        "agi-router-changed",
        "agi-router-end",
        "agi-router-check",
        "agi-router-probe",
        "agi-router-nowhere",
    ]


def test_the_label_stands_at_the_ways_in() -> None:
    """By it the router knows which contexts include them."""
    labelled = re.findall(r"(?m)^exten => ([^,]+),1\(agi-router\),", DIALPLAN)
    assert labelled == [f"_700{DIGITS}"] * 2
    assert ENTRY_LABEL == "agi-router"


@pytest.mark.parametrize("way_in", ["agi-router-in", "agi-router-in-fastagi"])
def test_what_a_caller_can_dial(way_in: str) -> None:
    """
    Exactly fifteen digits beginning 700, with or without 86, and nothing else: no h, s, i, t or T.

    Each leads to one step, which does not depend on what was dialled: a caller may dial the name
    of a pattern, and hyphens, so whatever is cut out of that may be no extension at all.
    """
    forms = [f"_{prefix}700{DIGITS}" for prefix in ("", *PREFIXES)]
    assert {len(form.removeprefix("_")) for form in forms} == {15, 17, 18, 19}
    assert not re.search(r"[.!\[\]]", "".join(forms))
    entered = way_in.replace("-in", "-entered", 1)
    assert [step for step in STEPS if step.context == way_in] == [
        Step(way_in, form, "Goto", f"{entered},s,1") for form in forms
    ]


def test_nothing_can_be_dialled_from_the_trunk() -> None:
    """The outgoing trunk's context is empty."""
    assert [step for step in STEPS if step.context == "agi-router-nowhere"] == []


def test_no_context_takes_in_another() -> None:
    """What can be reached is what is written in a context."""
    assert not re.search(r"(?m)^\s*(include|switch|eswitch|lswitch|ignorepat|#)", DIALPLAN)


def test_the_handler_is_pushed_before_the_router_is_asked() -> None:
    """The router decides; before it the end of the call and of patience are provided for."""
    entry = [s for s in STEPS if (s.context, s.extension) == ("agi-router-entered", "s")]
    push, rate, who, limit, ask = [s for s in STEPS if s.context == "agi-router-entered-fastagi"]
    assert [step.application for step in entry] == [
        *("Set", "GosubIf", "Gosub", "MSet", "Stasis", "Goto")
    ]
    assert entry[0].data == push.data == "CHANNEL(hangup_handler_push)=agi-router-end,s,1"
    assert entry[1].data == rate.data == "$[${AGI_ROUTER_RATE_LIMIT} > 0]?agi-router-rate,s,1"
    assert entry[2].data == who.data == "agi-router-caller,s,1"
    assert top_level(limit.data) == [
        "TIMEOUT(absolute)=$[${AGI_ROUTER_PATIENCE} + ${AGI_ROUTER_PATIENCE_FALLBACK}]",
        "CALLERID(all)=",
        "CALLERID(rdnis)=",
        "AGIEXITONHANGUP=yes",
        "AGISIGHUP=no",
    ]
    assert (ask.application, ask.data) == ("Goto", "agi-router-fallback,fastagi,1")
    assert assigned(entry[3]) == ["ASKED", "TIMEOUT(absolute)"]
    assert entry[3].data == "ASKED=${AGI_ROUTER_APP},TIMEOUT(absolute)=${AGI_ROUTER_PATIENCE}"
    assert entry[4].data == "${ASKED},${CALLERID(dnid)},${CALLER}"


def test_no_header_is_added() -> None:
    """What the module of header functions could write stays unwritten: it is read, and counted."""
    functions = set(re.findall(r"PJSIP_\w*\((?:[a-z]+,)?", DIALPLAN))
    assert functions == {"PJSIP_HEADERS(", "PJSIP_HEADER(read,", "PJSIP_HEADER(remove,"}
    assert [step for step in STEPS if "PJSIP_" in step.data.partition("=")[0]] == [
        step for step in STEPS if step.data.startswith("$[${LEN(${PJSIP_HEADERS(P)})} > 0]?")
    ]


def test_a_call_id_is_looked_at_first() -> None:
    """By what names it: its own parentheses end no function, and what was cut is too long."""
    first = next(step for step in STEPS if step.context == "agi-router-caller")
    read = "REPLACE(CHANNEL(pjsip,call-id),(),-)"
    refusal = "agi-router-refuse,caller_unreadable*not_verified*21*${AGI_ROUTER_LANGUAGE}**end,1"
    bad = f"${{FILTER(\\x01-\\x20\\x7f-\\xff,${{{read}}})}}"
    assert first.application == "GotoIf"
    assert first.data == f"$[${{LEN({bad}${{{read}:1000}})}} > 0]?{refusal}"


def test_what_a_caller_writes_is_no_code() -> None:
    """Each line is put into one variable, and leaves it without parentheses, cut and in BASE64."""
    reads = [step for step in STEPS if "PJSIP_HEADER(read," in step.data]
    assert [(step.context, step.application) for step in reads] == [
        ("agi-router-caller", "Set")
    ] * 4
    assert [assigned(step)[0] for step in reads] == ["FIRST", "SECOND", "PRIVACY", "FIRST"]
    uses = re.findall(r".{22}\b(?:FIRST|SECOND|PRIVACY)\b.{2}", DIALPLAN.partition("exten")[2])
    names = [use for use in uses if "Set(" not in use]
    assert names
    assert all(re.search(r"\$\{REPLACE\((FIRST|SECOND|PRIVACY),\($", use) for use in names)


def test_more_than_the_limit_a_second_are_refused() -> None:
    """Nobody but who is let in comes back from there."""
    rate = [step for step in STEPS if step.context == "agi-router-rate"]
    assert [step.application for step in rate] == ["Set", "MSet", "GotoIf", "Return"]
    assert assigned(rate[1]) == ["GLOBAL(AGI_ROUTER_CAME)", "GLOBAL(AGI_ROUTER_TENTH)"]
    assert rate[2].data.partition("?")[2] == (
        "agi-router-refuse,no_capacity**34*${AGI_ROUTER_LANGUAGE}**end,1"
    )


TOKEN = "${SHA1(${AGI_ROUTER_AGI_SECRET}${UNIQUEID}${AGI_ROUTER_AGI_SECRET})}"


def test_the_token_is_the_routers() -> None:
    """The dialplan reckons what the door expects, and does nothing else with the secret."""
    parts = TOKEN.removeprefix("${SHA1(").removesuffix(")}")
    text = parts.replace("${AGI_ROUTER_AGI_SECRET}", "s3cret").replace("${UNIQUEID}", "pbx1-1.2")
    assert hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() == token_of(
        "s3cret", "pbx1-1.2"
    )
    uses = [step for step in STEPS if "AGI_ROUTER_AGI_SECRET" in step.data.replace(TOKEN, "")]
    assert uses == []


def test_who_is_asked() -> None:
    """The application, FastAGI, the next application: with the number that was dialled."""
    asked = [step for step in of("Stasis", "AGI") if step.context != "agi-router-check"]
    typed = "${CALLERID(dnid)},${CALLER},${TYPED},${TRIES_LEFT}"
    assert [(step.context, step.extension, *step.data.split(",", 1)) for step in asked] == [
        ("agi-router-entered-old", "s", "${ASKED}", typed.replace("${TYPED}", "")),
        ("agi-router-entered", "s", "${ASKED}", "${CALLERID(dnid)},${CALLER}"),
        (
            *("agi-router-fallback", "fastagi", "agi://${AGI_ROUTER_AGI}/route"),
            f"{TOKEN},{typed},${{SHA1(${{REPLACE(FIRST,(),-)}})}}",
        ),
        ("agi-router-fallback", "next", "${ASKED}", typed),
        # The others come back: for the next part, and with what was typed.
        ("agi-router-more", "s", "${ASKED}", "more"),
        ("agi-router-ask", "_[a-z].", "${ASKED}", typed),
    ]


def test_whoever_waits_for_parts_is_refused() -> None:
    """A router that is away, frozen or dying connects nobody."""
    after = [step for step in STEPS if step.context == "agi-router-more"]
    assert [step.application for step in after] == ["Stasis", "Goto", "Goto"]
    assert all(step.data.startswith("agi-router-refuse,") for step in after[1:])


def test_patience_may_run_out_anywhere() -> None:
    """Also between the answer and the call's own limit: the caller hears a prompt."""
    over = {step.context: step for step in reversed(STEPS) if step.extension == "T"}
    # These are left in their first step, or nobody who calls comes there. A caller could dial it.
    without = {"globals", "agi-router-in", "agi-router-in-fastagi", "agi-router-entered-fastagi"}
    without |= {"agi-router-unanswered", "agi-router-end", "agi-router-old"}
    without |= {"agi-router-check", "agi-router-nowhere", "agi-router-rate", "agi-router-caller"}
    without |= {"agi-router-probe", "agi-router-mute", "agi-router-answered", "agi-router-joined"}
    without |= {"agi-router-recorded", "agi-router-kept"}
    assert over.keys() == set(CONTEXTS) - without
    for context in ("dial", "many", "sequence", "part", "more", "next", "fallback", "notice"):
        assert over[f"agi-router-{context}"].data.startswith("agi-router-refuse,platform_fault*")
    # Whom Dial() has told of an outcome, or talks, is past patience.
    assert over["agi-router-out"].data.startswith(
        '$["${DIALSTATUS}" = ""]?agi-router-refuse,platform_fault*'
    )


@pytest.mark.parametrize(
    "context", ["agi-router-entered", "agi-router-entered-old", "agi-router-ask"]
)
def test_whatever_follows_the_first_router_asks_others(context: str) -> None:
    """A router that is away, frozen or dying connects nobody; others get the time that is left."""
    entries = [step for step in STEPS if step.context == context]
    after = entries[[step.application for step in entries].index("Stasis") + 1]
    for step in (after, entries[-1]):
        assert (step.application, step.data) == ("Goto", "agi-router-fallback,s,1")
    first = next(step for step in STEPS if step.context == "agi-router-fallback")
    assert "TIMEOUT(absolute)=${AGI_ROUTER_PATIENCE_FALLBACK}" in top_level(first.data)
    # A connection to a frozen server is left with the patience, or with the caller.
    assert "AGIEXITONHANGUP=yes" in top_level(first.data)


def test_whatever_follows_the_last_router_refuses() -> None:
    """Nobody is left to ask, or patience is over: nobody is connected."""
    entries = [step for step in STEPS if step.context == "agi-router-fallback"]
    after = entries[[step.application for step in entries].index("Stasis") + 1]
    fault = to_refuse(Refusal(reason=Reason.PLATFORM_FAULT), language=Language.ZH)
    extension = fault.extension.replace("*zh*", "*${AGI_ROUTER_LANGUAGE}*")
    assert entries[-1].extension == "T"
    for step in (after, entries[-1]):
        assert step.application == "Goto"
        assert step.data == f"{fault.context},{extension},1"
    [nobody] = [step for step in entries if step.data.startswith('$["${NEXT}" = ""]?')]
    assert nobody.data.partition("?")[2] == f"{fault.context},{extension},1"


def test_fastagi_is_told_nothing_that_a_caller_wrote() -> None:
    """
    AGI() tells number, name and diversion as they came, and FastAGI is a protocol of lines.

    No expression looks at them either: a parenthesis in a value would end a function.
    """
    entry = [step for step in STEPS if step.extension == "fastagi"]
    assert [step.application for step in entry] == [
        "GotoIf",
        "Set",
        "AGI",
        "GotoIf",
        "MSet",
        "Goto",
    ]
    assert entry[0].data == '$["${AGI_ROUTER_AGI}" = ""]?next,1'
    # Its Call-ID only as a hash.
    assert entry[1].data == "FIRST=${CHANNEL(pjsip,call-id)}"
    assert entry[2].data.count("FIRST") == 1
    assert "${SHA1(${REPLACE(FIRST,(),-)})}" in entry[2].data
    # Who comes there has come through one of these, in a context that nobody can dial into.
    ways = [step for step in of("Goto", "GotoIf") if "fastagi,1" in step.data]
    first = next(n for n, s in enumerate(STEPS) if s.context == "agi-router-fallback")
    assert [(way.context, way.extension) for way in ways] == [
        ("agi-router-entered-fastagi", "s"),
        ("agi-router-fallback", "s"),
        ("agi-router-fallback", "s"),
    ]
    for step in (STEPS[STEPS.index(ways[0]) - 1], STEPS[first]):
        assert step.application == "MSet"
        assert {"CALLERID(all)=", "CALLERID(rdnis)="} <= set(top_level(step.data))
    # All else that Asterisk knows of a caller is the number dialled, which a pattern has let in.
    assert set(re.findall(r"\$\{CALLERID\((.*?)\)", DIALPLAN)) == {"dnid"}


def test_there_is_one_way_to_dial() -> None:
    """One Dial(), all callees on the trunk, in the context that only a decision leads to."""
    [step] = of("Dial")
    assert step.context == "agi-router-out"
    resource, ring, _options = top_level(step.data)
    assert resource == (
        f"PJSIP/{PREFIX}${{STRREPLACE(CALLEE,+,@${{TRUNK}}&PJSIP/{PREFIX})}}@${{TRUNK}}${{MORE}}"
    )
    assert ring == "${RING}"
    users = [
        s for s in STEPS if re.search(r"Goto\w*", s.application) and "agi-router-out" in s.data
    ]
    assert [user.context for user in users] == [
        "agi-router-dial",
        "agi-router-many",
        "agi-router-next",
        # It comes back to the step after the one that led there.
        "agi-router-notice",
        "agi-router-notice",
        "agi-router-recording",
        "agi-router-recording",
    ]


def test_a_trunk_is_one_of_those_that_the_site_names() -> None:
    """Wherever one is set: nothing else may be dialled on."""
    one = "${CUT(AGI_ROUTER_TRUNK,&,$[1 + ${STRFTIME(,,%6q)} % ${FIELDQTY(AGI_ROUTER_TRUNK,&)}])}"
    steps = [step for step in STEPS if "TRUNK" in assigned(step)]
    assert [(step.context, step.data) for step in steps] == [
        ("agi-router-many", f"TRUNK={one}"),
        ("agi-router-out", f"TRUNK={one}"),
    ]


def test_dial_masks_and_leaves_nobody_a_lever() -> None:
    """No redirection, no identity updates, the X for both; no transfer, hang-up or park keys."""
    for step in of("Dial"):
        options = top_level(step.data)[2]
        # What is for sound before the answer, and may be b, U or r, has a test of its own.
        always = re.sub(r"\$\{SPOKEN\}\$\{IF\(\$\[\"\$\{AGI_ROUTER_EARLY_MEDIA\}.*", "", options)
        letters = re.sub(r"\((?:[^()]|\([^()]*\))*\)", "", always)
        assert {"i", "I", "f", "u", "o", "L"} <= set(letters)
        assert not set(letters) & set("tTkKhHwWxX")
        # Nor anything else that was not thought about.
        assert sorted(letters) == sorted("iIfuoL")
        for option, value in {"f": "${SHOWN}", "o": "${SHOWN}"}.items():
            assert f"{option}({value})" in options
        every = "${AGI_ROUTER_WARNING_EVERY}"
        marks = f"${{AGI_ROUTER_WARNING}}000:{every}0${{IF($[{every} > 0]?5)}}0"
        assert f"L(${{LONGEST}}000:{marks})" in options
        # Whatever is not said to be shown is withheld.
        assert 'u(${IF($["${DISPLAY:0:1}" = "n"]?allowed:prohib)})' in options


def test_no_two_can_talk_before_the_answer() -> None:
    """Neither hears the other, or the caller alone does; a site's own word opens both ways."""
    [dial] = of("Dial")
    one_way = "b(agi-router-mute^s^1(on))"
    told = (
        f"U(agi-router-answered^{'${AGI_ROUTER_EARLY_MEDIA}'}^${{UNIQUEID}}^${{CALLERID(dnid)}})"
    )
    early = "${AGI_ROUTER_EARLY_MEDIA}"
    with_call = f"^{early}^${{UNIQUEID}}^${{CALLERID(dnid)}}"
    joined = f"U(agi-router-joined{with_call}^${{DISPLAY:1:1}})"
    recorded = (
        f"U(agi-router-recorded{with_call}^${{DISPLAY:1:1}}^${{SPOKEN:0:1}}"
        "^${RECORDING}^${TELLING})"
    )
    assert top_level(dial.data)[2].endswith(
        f'${{SPOKEN}}${{IF($["{early}" = "hear"]?${{IF($["${{SPOKEN:0:1}}" = ""]?{one_way})}}'
        f':${{IF($["{early}" = "both"]?:r)}})}}'
        f'${{IF($["${{RECORDING}}" != ""]?{recorded}'
        f':${{IF($["${{SPOKEN:0:1}}" = "a"]?{joined}'
        f':${{IF($["${{DISPLAY:1:1}}" = "t"]?{told}'
        f':${{IF($["{early}" = "hear"]?U(agi-router-mute^off))}})}})}})}}'
    )
    answered = [step for step in STEPS if step.context == "agi-router-answered"]
    assert [(step.application, step.data) for step in answered[1:]] == [
        ("GosubIf", '$["${ARG1}" = "hear"]?agi-router-mute,s,1(off)'),
        ("Return", ""),
    ]
    mute = [step for step in STEPS if step.context == "agi-router-mute"]
    assert [(step.extension, step.application, step.data) for step in mute] == [
        ("s", "Set", "MUTEAUDIO(out)=${ARG1}"),
        ("s", "Return", ""),
    ]


def test_the_caller_is_masked_before_the_callee_rings() -> None:
    """Number and name become the X, and a limit of all is set, just before Dial()."""
    [index] = [n for n, step in enumerate(STEPS) if step.application == "Dial"]
    assert STEPS[index - 1].application == "MSet"
    settings = top_level(STEPS[index - 1].data)
    assert "CALLERID(all)=<${SHOWN}>" in settings
    assert "TIMEOUT(absolute)=$[${RING} + ${LONGEST} + 30]" in settings


def test_a_spoilt_destination_is_refused() -> None:
    """Callee, shown and the mark are compared before anything is dialled."""
    out = [step for step in STEPS if step.context == "agi-router-out"]
    assert out[2].application == "GotoIf"
    condition, _, target = out[2].data.partition("?")
    for part in (
        "${LEN(${FILTER(0-9+,${CALLEE})})} != ${LEN(${CALLEE})}",
        "${LEN(${CALLEE})} < 5",
        '"${CALLEE:0:3}" = "700"',
        '"${FILTER(0-9,${SHOWN})}" != "${SHOWN}"',
        "${LEN(${SHOWN})} != 15",
        '"${MARK}" != "end"',
        f"${{LEN(${{STRREPLACE(CALLEE,+,@${{TRUNK}}&PJSIP/{PREFIX})}})}} > 4000",
        "${LEN(${MORE})} > 4000",
    ):
        assert part in condition.split("$[", 1)[1].rstrip("]").split(" | ")
    assert target.startswith("agi-router-refuse,platform_fault*")


@pytest.mark.parametrize("step", of("Hangup"), ids=lambda step: f"{step.context}-{step.extension}")
def test_a_hangup_has_a_cause(step: Step) -> None:
    """Without one the caller would get 603."""
    assert step.data in {"31", '${IF($["${MARK}" = "end"]?${CAUSE}:31)}'}


def test_there_are_hangups() -> None:
    """The test above is about something."""
    assert len(of("Hangup")) == 4


def test_no_variable_is_inherited() -> None:
    """A leading underscore would carry a real number to the other leg."""
    names = [name for step in STEPS for name in assigned(step)]
    assert {"ROUTE", "CALLEE", "SHOWN", "MARK", "REFUSAL", "CALLERID(all)"} <= set(names)
    assert [name for name in (*names, *GLOBALS) if name.strip().startswith("_")] == []
    assert not re.search(r"(?<![A-Za-z0-9])_+[A-Z]\w*\s*=", DIALPLAN)


# The step that Dial() follows; and the rest of what the router has written, behind a 700 number.
BACK = "agi-router-out,s,4"
NOTICE = "?agi-router-notice,s,1)}"
REST = "agi-router-refuse,${CUT(EXTEN,*,2-)},1"


def test_the_step_that_the_notice_comes_back_to() -> None:
    """All before it was done, and the callee is dialled next."""
    out = [step for step in STEPS if step.context == "agi-router-out"]
    assert [step.application for step in out[:5]] == ["Set", "Set", "GotoIf", "MSet", "Dial"]


def test_every_goto_leads_somewhere() -> None:
    """Its context is there, and an extension that takes what is written."""
    for step in STEPS:
        if step.application not in ("Goto", "GotoIf"):
            continue
        target = step.data.partition("?")[2] if step.application == "GotoIf" else step.data
        if target.startswith("${IF("):
            choice, _, rest = target.removeprefix("${IF(").rpartition(")}")
            for name in choice.partition("?")[2].split(":"):
                assert {"_[A-Z]."} & {s.extension for s in STEPS if s.context == name}
            assert rest == ",${DIALSTATUS},1"
            continue
        target, *otherwise = top_level(target, ":")
        assert not otherwise or otherwise == [BACK] or NOTICE in otherwise[0]
        if target in {BACK, REST}:
            continue
        *context, extension, priority = top_level(target)
        name = context[0] if context else step.context
        assert priority == "1"
        found = [entry.extension for entry in STEPS if entry.context == name]
        if extension.startswith("${"):
            assert found
        elif name == "agi-router-refuse" and extension not in found:
            assert re.match(r"[a-z].", extension)
            assert "_[a-z]." in found
            fields = top_level(extension, "*")
            assert fields[4] in {"", "${PROMPTS}"}
            assert fields[5] == "end"
            # Where a leg was dialled, its cause follows.
            assert fields[6:] in ([], ["${HANGUPCAUSE}"])
        else:
            assert extension in found


def test_every_prompt_and_cause_is_one_of_ours() -> None:
    """What the dialplan refuses with is spoken and has a SIP status."""
    known = {row.split("\t")[0] for row in PROMPTS.splitlines()[1:]}
    named = re.findall(r"agi-router-refuse,(\w+)\*(\w+)\*([^*]+)\*", DIALPLAN)
    assert len(named) == 21
    for _, prompt, cause in named:
        assert prompt in known
        assert set(re.findall(r"\b\d+\b", cause)) <= {"1", "17", "19", "20", "21", "31"}
    assert {"one_minute", "ends_soon", "time_over", "ask_extension", "wrong_extension"} <= known
    assert re.findall(r"LIMIT_\w+_FILE=.*?\}/\)\}(\w+)", DIALPLAN) == ["time_over"]


def test_the_doctor_is_told_where_the_prompts_are_looked_for() -> None:
    """In the directory in which a call looks for those of a set."""
    named, step = (step for step in STEPS if step.context == "agi-router-check")
    app, told, *found = step.data.split(",")
    assert (step.application, app, told) == ("Stasis", "agi_router_doctor", "${EXTEN}")
    place = "${ASTDATADIR}/sounds/LANGUAGE/agi-router/SET/PROMPT.wav"
    for number, part in enumerate(("LANGUAGE", "PROMPT", "SET"), start=1):
        place = place.replace(part, f"${{CUT(EXTEN,*,{number})}}")
    assert named.data == f"PROMPT={place}"
    assert ",".join(found) == "${STAT(f,${PROMPT})},${STAT(s,${PROMPT})}"


def test_a_prompt_that_a_set_lacks_is_the_shipped_one() -> None:
    """Every prompt is looked for in the binding's set, in the language that is spoken."""
    places = re.findall(
        r"agi-router/\$\{IF\(\$\{STAT\(e,\$\{ASTDATADIR\}/sounds/\$\{LANGUAGE\}/agi-router"
        r"/\$\{PROMPTS\}/([\w${}]+)\.wav\)\}\?\$\{PROMPTS\}/\)\}(\$\{\w+\}|\w+)",
        DIALPLAN,
    )
    assert places == [
        (name, name) for name in ("${WARNING}", "time_over", "antifraud", "${WORDS}", "${PROMPT}")
    ]


def test_the_end_line_is_the_one_that_is_read() -> None:
    """Sixteen fields, none of which can be a real number; filled in, they can be read."""
    answer, _, _, step, probe = (step for step in STEPS if step.data.startswith("FILE("))
    told = {
        "answered": "answered",
        "${ARG2}": "pbx1-1741988825.42",
        "${ARG3}": "700123456780001",
        "${STRFTIME(,,%s%3q)}": "1741988890123",
        "end": "end",
    }
    assert answer.data == f"FILE(${{AGI_ROUTER_JOURNAL}}/ends,,,al,u)={'|'.join(told)}"
    read = parse_line("|".join(told.values()))
    assert isinstance(read, Answer)
    assert read.answered_at.microsecond == 123_000
    assert (step.context, step.extension) == ("agi-router-end", "line")
    head, _, fields = step.data.partition("=")
    assert head == "FILE(${AGI_ROUTER_JOURNAL}/ends,,,al,u)"
    values = {
        "3": "3",
        "${UNIQUEID}": "pbx1-1741988825.42",
        "${CALLERID(dnid)}": "700123456780001",
        "${EPOCH}": "1741988890",
        "${REFUSAL}": "",
        "${DIALSTATUS}": "ANSWER",
        "${RINGTIME_MS}": "4210",
        "${TALK}": "61007",
        "${CHANNEL(hangupsource)}": "PJSIP/carrier-in-0000002a",
        "${CHANNEL}": "PJSIP/carrier-in-0000002a",
        '${IF($["${LEG_CAUSE}" = ""]?${HANGUPCAUSE}:${LEG_CAUSE})}': "16",
        "${LEG_STATUS}": "",
        "${LONGEST}": "3600",
        "${CLOCK}": "",
        '${IF($["${JOINED}" = ""]?${NOTICE}:heard)}': "heard",
        "end": "end",
    }
    assert fields.split("|") == list(values)
    end = parse_end("|".join(values.values()))
    assert (end.outcome, end.released_by, end.cause) == ("answered", "caller", 16)
    assert end.notice == "heard"
    # Where it is looked whether lines come: sixteen digits, so that no other file can be named.
    assert (probe.context, probe.extension) == ("agi-router-probe", f"_{16 * 'X'}")
    assert probe.data == "FILE(${AGI_ROUTER_JOURNAL}/probe.${EXTEN},,,al,u)=${EXTEN}"


def test_a_recording_is_noted_as_it_is_read() -> None:
    """Before anything is recorded; where nothing can be noted, nothing is."""
    steps = [step for step in STEPS if step.context == "agi-router-recorded"]
    # Nothing is written below / where no directory is set.
    assert steps[0].data == '$["${AGI_ROUTER_RECORDINGS}" = ""]?joined,1'
    steps = steps[1:]
    assert [step.application for step in steps[:4]] == ["Set", "GotoIf", "Set", "MixMonitor"]
    place, _, line = steps[0].data.partition("=")
    file = "${AGI_ROUTER_RECORDINGS}/${ARG6}"
    assert place == f"FILE({file}.call,,,al,u)"
    told = {
        "1": "1",
        "${ARG2}": "pbx1-1741988825.42",
        "${ARG3}": "700123456780001",
        "${STRFTIME(,,%s%3q)}": "1741988890123",
        "${IF($[${ARG7} = 0]?no_notice:recorded)}": "recorded",
        "end": "end",
    }
    assert line.split("|") == list(told)
    note = parse_note("|".join(told.values()))
    assert (note.call_id, note.begun_at_ms, note.told) == (told["${ARG2}"], 1741988890123, True)
    assert not parse_note("|".join(told.values()).replace("recorded", "no_notice")).told
    assert steps[1].data == f"$[${{ARG7}} = 0 | 0${{STAT(s,{file}.call)}} = 0]?joined,1"
    assert steps[3].data == f",r({file}{CALLEE})t({file}{CALLER})"
    # Its name is of letters.
    [name] = [step.data for step in STEPS if "RECORDING" in assigned(step)]
    assert "RECORDING=${FILTER(a-f," in name
    [telling] = [step.data for step in STEPS if step.data.startswith("TELLING=${IF(")]
    longest = f'${{IF($["${{WORDS}}" = "recording"]?{LONGEST_NOTICE}:{LONGEST_NOTICES})}}'
    assert f"${{TELLING}} < {SHORTEST_NOTICE} | ${{TELLING}} > {longest} |" in telling


def test_the_globals() -> None:
    """What a site may override, and the version that the doctor compares."""
    assert GLOBALS == {
        "AGI_ROUTER_DIALPLAN": DIALPLAN_VERSION,
        "AGI_ROUTER_APP": "agi_router",
        "AGI_ROUTER_AGI": "127.0.0.1:4573",
        # Nothing is shipped: each site has its own, in a file of Asterisk's.
        "AGI_ROUTER_AGI_SECRET": "",
        "AGI_ROUTER_TRUNK": "carrier-out",
        "AGI_ROUTER_CALLEE_PREFIX": "",
        "AGI_ROUTER_EARLY_MEDIA": "none",
        "AGI_ROUTER_WARNING": "60",
        "AGI_ROUTER_WARNING_EVERY": "0",
        "AGI_ROUTER_LANGUAGE": "zh",
        "AGI_ROUTER_JOURNAL": "/var/spool/agi-router",
        "AGI_ROUTER_RECORDINGS": "",
        "AGI_ROUTER_PATIENCE": "0.35",
        "AGI_ROUTER_PATIENCE_FALLBACK": "0.2",
        "AGI_ROUTER_RATE_LIMIT": "0",
        "AGI_ROUTER_PROMPT_LIMIT": "12",
        "AGI_ROUTER_DIGIT_TIMEOUT": "5",
    }
