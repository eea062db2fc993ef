"""Who calls: from the lines of an INVITE to a number, or a reason to refuse."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.calls.identity import Signalled, read_caller
from agi_router.errors import NumberError
from agi_router.leaktest.identities import IDENTITIES, Identity, Taken
from agi_router.leaktest.vectors import VECTORS
from agi_router.numbers import PhoneNumber
from harness import values
from harness.identities import told

A, B, C = values.A.digits, values.B.digits, values.C.digits
NUMBERS = {"a": A, "b": B, "c": C}
UNREADABLE, HIDDEN = Reason.CALLER_UNREADABLE, Reason.CALLER_HIDDEN


def lines(identity: Identity, name: str) -> list[str]:
    """The header lines of a name, as SIP joins folded ones, and as the dialplan cleans them."""
    found = []
    for line in (identity.sender, *identity.headers):
        header, _, value = line.format(**NUMBERS).partition(":")
        header = {"f": "from"}.get(header.strip().lower(), header.strip().lower())
        if header == name:
            value = re.sub(r"\s*\r\n\s+", " ", value).strip()
            found.append(value.replace("(", "-").replace(")", "-"))
    return found


def read(*asserted: str, believe_from: bool = True) -> str | Reason:
    """Who calls by these lines; From names somebody else."""
    signalled = Signalled.from_dialplan(told(asserted=asserted, sender=f"<sip:{A}@x>"))
    return read_caller(signalled, believe_from=believe_from)


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.name)
def test_the_table(identity: Identity) -> None:
    """Every identity of the leak test, with its reason."""
    signalled = Signalled.from_dialplan(
        told(
            asserted=lines(identity, "p-asserted-identity"),
            privacy=lines(identity, "privacy"),
            sender=f"{lines(identity, 'from')[0]};tag=1",
        )
    )
    seen = read_caller(signalled, believe_from=True)
    if isinstance(identity.taken_for, Taken):
        assert isinstance(seen, str)
        assert PhoneNumber.parse(seen).digits == NUMBERS[identity.taken_for.value]
    elif identity.taken_for is Reason.CALLER_FOREIGN:
        assert isinstance(seen, str)
        with pytest.raises(NumberError):
            PhoneNumber.parse(seen)
    else:
        assert seen is identity.taken_for
    alone = read_caller(signalled, believe_from=False)
    if not identity.unasserted:
        assert alone == seen
    else:
        assert alone is (HIDDEN if signalled.privacy else UNREADABLE)


def test_the_table_is_long_enough() -> None:
    """Every name once, and none of a vector's: they are chosen by name."""
    names = {identity.name for identity in IDENTITIES}
    assert len(names) == len(IDENTITIES) >= 40
    assert not names & {vector.name for vector in VECTORS}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"<sip:+86{B}:secret@ims.example.cn>", f"+86{B}"),
        (f"<sip:+86{B}@ims.example.cn?Subject=x>", f"+86{B}"),
        (f"<tel:+86.{B[:3]}.{B[3:]}>", f"+86{B}"),
        (f"<tel:+86{B};phone-context=+86>", f"+86{B}"),
        (f"<tel:+86{B};phone-context=ims.example.cn>", f"+86{B}"),
        (f"<tel:{B};ext=1;phone-context=%2B86>", B),
        (f"tel:{B};phone-context=+86", B),
        (f"<sip:{B}@ims.example.cn;phone-context=+86>", B),
        ("<tel:2025550100;phone-context=+1>", "+12025550100"),
        # A number within no context, within two, or within one that is no part of it.
        (f"<tel:{B};phone-context=86>", UNREADABLE),
        (f"<tel:{B};phone-context=>", UNREADABLE),
        (f"<tel:{B};phone-context=-x>", UNREADABLE),
        (f"<tel:{B};phone-context=+86;phone-context=+1>", UNREADABLE),
        (f"<sip:{B};phone-context=+86@x;phone-context=+1>", UNREADABLE),
        (f"<tel:+86{B};phone-context=+1>", UNREADABLE),
        # Nobody's number is put together of two parts.
        (f"<tel:{B[3:]};phone-context=+86{B[:3]}>", UNREADABLE),
        (f"<tel:6{B};phone-context=+8>", UNREADABLE),
        ("<tel:>", UNREADABLE),
        ("<tel:lin>", UNREADABLE),
        ("<tel:*100#>", UNREADABLE),
        ("<>", UNREADABLE),
        ("<http://ims.example.cn>", UNREADABLE),
        (f"<sip:+86{B}@ims example.cn>", UNREADABLE),
        (f"<sip:+86{B}@>", UNREADABLE),
        (f"<sip:+86{B}\uff11@ims.example.cn>", UNREADABLE),
        (f"<sip:+86{B}%00@ims.example.cn>", UNREADABLE),
        (f"<sip:%EF%BC%91{B[1:]}@ims.example.cn>", UNREADABLE),
        (f"<sip:+86{B}@ims.example.cn> more", UNREADABLE),
        (f'"x" "y" <tel:+86{B}>', UNREADABLE),
        (f"x, <tel:+86{B}>", UNREADABLE),
        (f"<tel:+86{B}>,, <tel:+86{B}>", UNREADABLE),
        (f'<tel:+86{B}>;x="y', UNREADABLE),
        # Withheld, by any word that stands for it.
        ("<sip:Unknown@ims.example.cn>", HIDDEN),
        ("<sip:ims.example.cn>", HIDDEN),
        ("<sip:@ims.example.cn>", HIDDEN),
        (f"<sip:{B}@anonymous.invalid>", HIDDEN),
        (f"<sip:anonymous@x>, <tel:+86{B}>", HIDDEN),
        ("<sip:anonymous@x>, nonsense", UNREADABLE),
        # Two forms of one number; a fixed line is one, too.
        (f"<sip:0{B}@x>, <tel:+86{B}>", f"0{B}"),
        ("<sip:01062345678@x>, <tel:+861062345678>", "01062345678"),
        ("<tel:+12025550100>, <sip:+12025550100@x>", "+12025550100"),
    ],
)
def test_values(value: str, expected: str | Reason) -> None:
    """One line of P-Asserted-Identity."""
    assert read(value) == expected
    # It does not count who is in From, or whether that counts.
    assert read(value, believe_from=False) == expected


def test_two_lines_are_one_list() -> None:
    """By RFC 3261, 7.3.1."""
    assert read(f"<sip:{B}@x>", f"<tel:+86{B}>") == B
    assert read(f"<sip:{B}@x>", f"<tel:+86{C}>") is UNREADABLE
    assert read(f"<sip:{B}@x>", "nonsense") is UNREADABLE
    assert read(f"<sip:{B}@x>", "<sip:lin@x>") == B


def test_from_is_one_address() -> None:
    """A list is no From; where there is none at all nobody calls."""
    for sender in (f"<sip:{A}@x>, <sip:{A}@x>", "", "nonsense"):
        signalled = Signalled.from_dialplan(told(sender=sender))
        assert read_caller(signalled, believe_from=True) is UNREADABLE


@pytest.mark.parametrize(
    ("privacy", "hides"),
    [
        (["none"], False),
        (["None"], False),
        (["session;critical"], False),
        (["history"], False),
        (["id"], True),
        ([" user ; critical"], True),
        (["none;id"], True),
        (["header,none"], True),
        (["something-new"], True),
        (["none;"], True),
        ([""], True),
        # The second is not told.
        (["none", "none"], True),
    ],
)
def test_privacy(privacy: Sequence[str], hides: bool) -> None:  # noqa: FBT001
    """Whatever may ask for more than can be shown hides; whether asserted or not."""
    for asserted in ([], [f"<tel:+86{B}>"]):
        signalled = Signalled.from_dialplan(
            told(asserted=asserted, privacy=privacy, sender=f"<sip:{B}@x>")
        )
        seen = read_caller(signalled, believe_from=True)
        assert (seen is HIDDEN) is hides
        assert hides or PhoneNumber.parse(str(seen)).digits == B


@pytest.mark.parametrize(
    "text",
    [
        "",
        "allowed",
        "..0-.0-.0-.0-.end",
        # Cut anywhere, or more of it.
        told(sender=f"<sip:{A}@x>")[:-1],
        told(sender=f"<sip:{A}@x>") + ".end",
        # More lines than are told; shorter than they were; no BASE64; longer than said.
        "3.0.4-PHRlbD4=.4-PHRlbD4=.0-.0-.end",
        "1.0.5000-PHRlbDo+.0-.0-.0-.end",
        "1.0.4-PHRlbDo.0-.0-.0-.end",
        "1.0.0-.0-.0-.0-.end",
        "0.0.0-.0-.0-.7-PHRlbDo+.end",
    ],
)
def test_what_is_not_told_whole(text: str) -> None:
    """Nobody is taken for the caller."""
    assert read_caller(Signalled.from_dialplan(text), believe_from=True) is UNREADABLE


def test_no_number_shows() -> None:
    """What an INVITE says may reach a log as a whole."""
    assert B not in repr(
        Signalled.from_dialplan(told(asserted=[f"<tel:{B}>"], sender=f"<sip:{B}@x>"))
    )


@pytest.mark.parametrize(
    "line",
    [
        "<sip:{long}x@x>",
        "<sip:+{long}.x@x>",
        "<tel:{long}x>",
        "<tel:1;phone-context={long}x>",
        "<sip:1;phone-context=+{long}x@x>",
        '"{long}" <{long}',
        "{long}<{long}",
        "{long};{long};{long}",
        "<sip:{escaped}@x>",
        "<sip:1@{long}.>",
        "<sip:1@x{parameters}>",
        "<sip:1@x>{parameters}x=",
        "{values}<",
    ],
)
def test_no_line_takes_long(line: str) -> None:
    """
    A caller writes what it likes, in a process that decides all calls.

    A look whose time grows with the square of the length would take hours here.
    """
    text = line.format(
        long="1" * 500_000,
        escaped="%31" * 100_000,
        parameters=";a=b" * 100_000,
        values="<sip:1@x>," * 50_000,
    )
    seen = read_caller(Signalled(asserted=(text,)), believe_from=True)
    assert isinstance(seen, str)
