"""The consent ledger, as it is judged."""

import pytest

from agi_router.consent.ledger import (
    Act,
    ConsentLine,
    How,
    Purpose,
    check_evidence,
    check_version,
    is_given,
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


@pytest.mark.parametrize(
    ("lines", "order", "given"),
    [
        ([], None, False),
        ([line(1, GIVEN)], None, True),
        ([line(1, GIVEN)], "A-1", True),
        ([line(1, GIVEN, "A-1")], None, False),
        ([line(1, GIVEN, "A-1")], "A-1", True),
        ([line(1, GIVEN, "A-1")], "A-2", False),
        ([line(2, WITHDRAWN), line(1, GIVEN)], None, False),
        ([line(1, WITHDRAWN), line(2, GIVEN)], None, True),
        # Of one order only; of all, whatever was said of one before.
        ([line(1, GIVEN), line(2, WITHDRAWN, "A-1")], "A-1", False),
        ([line(1, GIVEN), line(2, WITHDRAWN, "A-1")], "A-2", True),
        ([line(1, GIVEN, "A-1"), line(2, WITHDRAWN)], "A-1", False),
        ([line(1, WITHDRAWN), line(2, GIVEN, "A-1")], "A-1", True),
        ([line(1, GIVEN, purpose=Purpose.RECORDING)], None, False),
        ([line(1, GIVEN), line(2, WITHDRAWN, purpose=Purpose.RECORDING)], None, True),
    ],
)
def test_the_last_line_speaks(
    lines: list[ConsentLine],
    order: str | None,
    given: bool,  # noqa: FBT001 - a case
) -> None:
    """Of those that are about the order, general ones included."""
    assert is_given(lines, order) is given


def test_how_it_is_shown() -> None:
    """The number is masked."""
    shown = describe_consent(line(4, GIVEN, "A-1"))
    assert (shown["id"], shown["person"], shown["how"]) == ("4", "139****0001", "app")
    assert describe_consent(line(5, WITHDRAWN))["how"] is None
    assert line(4, GIVEN).cursor.name == "4"


def test_what_is_typed() -> None:
    """Evidence is a digest, and a version a short text."""
    assert check_evidence("AB" * 32) == "ab" * 32
    assert check_version(" v2 ") == "v2"
    for wrong in ("", "ab", "zz" * 32):
        with pytest.raises(ValueError, match="64 digits"):
            check_evidence(wrong)
    with pytest.raises(ValueError, match="version"):
        check_version("v" * 65)
