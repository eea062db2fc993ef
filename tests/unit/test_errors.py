"""The tree of errors: default messages, codes, exit codes."""

from __future__ import annotations

import pytest

from agi_router import errors
from agi_router.cli.exit_codes import EXIT_CODES, exit_code
from agi_router.errors import (
    AgiRouterError,
    BindingConflict,
    NumberError,
    NumberFault,
)

CLASSES = [
    each for name in errors.__all__ if issubclass(each := getattr(errors, name), AgiRouterError)
]
PLAIN = [each for each in CLASSES if each is not NumberError]

DOCUMENTED = {65, 66, 69, 70, 73, 76, 77, 78}


@pytest.mark.parametrize("each", PLAIN)
def test_first_line_of_the_docstring_is_the_message(each: type[AgiRouterError]) -> None:
    """Each class has a message of its own, in one line."""
    message = str(each())
    assert message
    assert not message.endswith(".")
    assert "\n" not in message
    assert message in (each.__doc__ or "")
    assert str(each("other words")) == "other words"


@pytest.mark.parametrize("each", CLASSES)
def test_codes_are_documented(each: type[AgiRouterError]) -> None:
    """Class and code stand in the drawing, and the command line has an exit code for it."""
    assert errors.__doc__ is not None
    (line,) = [
        line
        for line in errors.__doc__.splitlines()
        if f" {each.__name__} " in f" {line.lstrip(' ├└─│')} "[: len(each.__name__) + 2]
    ]
    assert line.lstrip(" ├└─│").split()[1] == each.code
    assert exit_code(each) in DOCUMENTED


def test_each_code_names_one_kind() -> None:
    """No two classes share a code, and no exit code is for what is not there."""
    codes = [each.code for each in CLASSES]
    assert sorted(codes) == sorted(EXIT_CODES)
    assert len(set(codes)) == len(codes)


def test_class_without_docstring_has_its_name() -> None:
    """A class that says nothing is named."""

    class MuteError(AgiRouterError):
        __doc__ = None

    assert str(MuteError()) == "MuteError"


def test_number_error_carries_its_kind() -> None:
    """It is a ValueError too, and its message may be left to the class."""
    error = NumberError(NumberFault.TOO_SHORT)
    assert error.kind is NumberFault.TOO_SHORT
    assert isinstance(error, ValueError)
    assert str(error) == "The text is not a number accepted here"
    assert str(NumberError(NumberFault.EMPTY, "nothing there")) == "nothing there"


def test_conflict_carries_the_constraint() -> None:
    """The violated rule is known by its name in the schema, if at all."""
    assert BindingConflict().constraint is None
    assert BindingConflict(constraint="route_pkey").constraint == "route_pkey"


def test_exports() -> None:
    """What is public is listed."""
    public = {
        name
        for name, each in vars(errors).items()
        if isinstance(each, type) and each.__module__ == errors.__name__
    }
    assert public == set(errors.__all__)
