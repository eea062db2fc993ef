"""The consent ledger, as it is judged."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agi_router.consent.ledger import (
    Act,
    ConsentLine,
    How,
    Purpose,
    Statement,
    Taken,
    check_evidence,
    check_version,
    find_taken,
)
from agi_router.consent.views import describe_consent
from harness.values import NOW, A

GIVEN, WITHDRAWN = Act.GIVEN, Act.WITHDRAWN


def line(
    number: int, act: Act, order: str | None = None, purpose: Purpose = Purpose.BINDING
) -> ConsentLine:
    return ConsentLine(
        id=number,
        person=A,
        tenant="couriers",
        act=act,
        purpose=purpose,
        order=order,
        how=How.APP if act is GIVEN else None,
        at=NOW,
        evidence=None,
        version=None,
        binding=None,
        added_at=NOW,
        added_by="a test",
    )


def test_how_it_is_shown() -> None:
    """The number is masked."""
    shown = describe_consent(line(4, GIVEN, "A-1"))
    assert (shown["id"], shown["person"], shown["how"]) == ("4", "139****0001", "app")
    assert describe_consent(line(5, WITHDRAWN))["how"] is None
    assert line(4, GIVEN).cursor.name == "4"


def test_what_is_brought_in() -> None:
    """Each line once, and nothing for whoever has withdrawn since."""
    said = Statement(act=GIVEN, order="A-1", how=How.APP, at=NOW)
    recorded = Purpose.RECORDING
    for lines, taken in [
        ([], Taken.ADDED),
        ([line(1, GIVEN, "A-2")], Taken.ADDED),
        ([line(1, WITHDRAWN, "A-2")], Taken.ADDED),
        ([line(1, WITHDRAWN, "A-1", recorded)], Taken.ADDED),
        ([line(1, WITHDRAWN, "A-1")], Taken.WITHDRAWN_SINCE),
        ([line(1, WITHDRAWN)], Taken.WITHDRAWN_SINCE),
        ([line(1, WITHDRAWN), line(2, GIVEN, "A-1")], Taken.KNOWN),
    ]:
        assert find_taken(lines, said) is taken
    younger = replace(said, at=NOW + timedelta(seconds=1))
    assert find_taken([line(1, WITHDRAWN)], younger) is Taken.ADDED
    # Of a number that somebody else has had before.
    for lines, since, taken in [
        ([], NOW, Taken.ADDED),
        ([], NOW + timedelta(seconds=1), Taken.REISSUED_SINCE),
        ([line(1, GIVEN, "A-1")], NOW + timedelta(seconds=1), Taken.KNOWN),
    ]:
        assert find_taken(lines, said, owned_since=since) is taken


def test_what_is_typed() -> None:
    """Evidence is a digest, and a version a short text."""
    assert check_evidence("AB" * 32) == "ab" * 32
    assert check_version(" v2 ") == "v2"
    for wrong in ("", "ab", "zz" * 32):
        with pytest.raises(ValueError, match="64 digits"):
            check_evidence(wrong)
    with pytest.raises(ValueError, match="version"):
        check_version("v" * 65)
