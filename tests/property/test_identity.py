"""Who calls: whatever an INVITE says, nobody is taken for a caller who is not asserted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agi_router.bindings.reasons import Reason
from agi_router.calls import identity
from agi_router.calls.identity import Signalled, read_caller
from agi_router.numbers import PhoneNumber
from harness import values
from harness.draws import mobiles
from harness.identities import told

REASONS = {Reason.CALLER_HIDDEN, Reason.CALLER_UNREADABLE}
VICTIM, TRUE = values.A.digits, values.B.digits

bytes_of_headers = st.text(st.characters(min_codepoint=1, max_codepoint=0xFF), max_size=300)
# The characters that mean something, and pieces of addresses.
pieces = st.sampled_from(
    [
        *'"\\<>,;:@=%+-?*#()&$[] \t',
        *("sip:", "tel:", "sips:", "phone-context=", "+86", "user=phone", "anonymous", "x"),
        *(VICTIM, TRUE, f"<sip:{VICTIM}@x>", f"<tel:+86{TRUE}>", '"n" '),
    ]
)
hostile = st.lists(pieces, max_size=12).map("".join)


@given(
    st.from_regex(identity._ORDINARY, fullmatch=True)
    | st.from_regex(r"<(sip|tel):[0-9+]{4,7}@?(anonymous\.invalid|Anonymous.Invalid|[a-z]*)>")
)
def test_the_short_way_is_no_other(line: str) -> None:
    """The usual form is read as it would be by the rules for all forms."""
    assert identity._ordinary([line]) in {None, identity._asserted([line])}


@given(st.text() | bytes_of_headers, st.booleans())
def test_telling_is_total(text: str, believe: bool) -> None:  # noqa: FBT001
    """What has not come from our dialplan is nobody, and raises nothing."""
    assert (
        read_caller(Signalled.from_dialplan(text), believe_from=believe)
        is Reason.CALLER_UNREADABLE
    )


@given(
    st.lists(hostile | bytes_of_headers, max_size=3),
    st.lists(hostile | st.sampled_from(["none", "id", "user;id"]), max_size=2),
    hostile | bytes_of_headers,
    st.booleans(),
)
def test_reading_is_total(
    asserted: list[str],
    privacy: list[str],
    sender: str,
    believe: bool,  # noqa: FBT001
) -> None:
    """A text or a reason; From counts only where nobody is asserted and it may count."""
    lines = {"asserted": asserted, "privacy": privacy}
    seen = read_caller(Signalled.from_dialplan(told(**lines, sender=sender)), believe_from=believe)
    assert seen in REASONS or isinstance(seen, str)
    if asserted:
        # Nothing in From changes anything.
        other = Signalled(
            **{name: tuple(line or None for line in each) for name, each in lines.items()},
            sender=f"<sip:{VICTIM}@x>",
        )
        if len(asserted) <= 2 and len(privacy) <= 1:
            again = read_caller(
                Signalled(
                    asserted=tuple(_bytes(line) for line in asserted),
                    privacy=tuple(_bytes(line) for line in privacy),
                    sender=other.sender,
                ),
                believe_from=True,
            )
            assert again == seen
    elif not believe:
        assert seen in REASONS


def _bytes(line: str) -> str | None:
    return line.encode().decode("latin-1") or None


@given(hostile, hostile)
def test_a_victim_is_nobody_beside_another_number(before: str, after: str) -> None:
    """Two numbers are none: whatever is put around one, the other is not dropped."""
    line = f"<sip:{VICTIM}@x>,{before},<tel:+86{TRUE}>"
    for text in (line, f"<tel:+86{TRUE}>,{after},<sip:{VICTIM}@x>"):
        seen = read_caller(Signalled.from_dialplan(told(asserted=[text])), believe_from=True)
        assert seen in REASONS


@given(
    mobiles,
    st.sampled_from(["", "+86", "%2B86", "0"]),
    st.sampled_from(
        [
            "<sip:{}@x>",
            "sip:{}@x:5060",
            "<sips:{};cpc=ordinary@[::1];user=phone>",
            "<tel:{}>",
            "tel:{}",
            '"a, \\"b\\" <c>" <tel:{};isub=1>',
            'a b <sip:{}@x;user=phone>;c="d,e"',
        ]
    ),
    st.integers(1, 2),
)
def test_every_form_is_the_number(number: str, prefix: str, form: str, times: int) -> None:
    """One value or the same twice, in From as in P-Asserted-Identity."""
    value = form.format(prefix + number)
    for signalled in (
        Signalled.from_dialplan(told(asserted=[", ".join([value] * times)])),
        Signalled.from_dialplan(told(asserted=[value] * times)),
        Signalled.from_dialplan(told(sender=f"{value};tag=1")),
    ):
        seen = read_caller(signalled, believe_from=True)
        assert isinstance(seen, str)
        assert PhoneNumber.parse(seen).digits == number
