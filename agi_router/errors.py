"""
What can go wrong, as one tree.

::

    AgiRouterError             70  a fault of our own
     ├─ SettingsError          78  a variable is missing, unknown or malformed
     ├─ NumberError            65  text is not a number we accept   (also a ValueError)
     ├─ ExpiryInvalid          65  in the past, or out of bounds    (also a ValueError)
     ├─ SameParty              65  A and B are one number           (also a ValueError)
     ├─ ModeError              65  the mode does not allow this     (also a ValueError)
     ├─ CsvError               65  a file's rows are not acceptable (also a ValueError)
     ├─ KeyRingError           78  the keys are missing or malformed
     │   ├─ KeyMismatch        78  the keys are not those of this database
     │   ├─ KeysOutdated       78  the keys were rotated since they were read
     │   ├─ KeyUsedUp          78  the key has sealed as many numbers as it may
     │   └─ KeyInUse           73  rows need the key, or it is the current one
     ├─ SealError              70  a sealed number does not open
     ├─ StoreError             70  the store failed
     │   ├─ RowInvalid         70  a row holds what is never written
     │   ├─ RowRefused         70  the database refuses a row
     │   ├─ StoreUnavailable   69  no answer, or none in time
     │   │   ├─ StoreBusy      69  there would be none in time
     │   │   └─ StoreHeld      69  somebody else holds what is needed
     │   ├─ DayRefused         70  no call may have that day
     │   ├─ SchemaMismatch     76  database older or newer than the code
     │   ├─ BindingNotFound    66  no binding has this id
     │   ├─ MemberNotFound     66  the group has no such member
     │   ├─ BlockNotFound      66  the block is not ours
     │   ├─ TenantNotFound     66  no active tenant has this name
     │   ├─ BindingConflict    73  (X, caller) already has a route  carries the constraint
     │   ├─ NumberResting      73  a binding on the number ended not long ago
     │   ├─ BindingEnded       73  it is over and cannot change
     │   ├─ BlockExists        73  the block is already there
     │   ├─ BlockInUse         73  bindings live in the block
     │   ├─ TenantExists       73  the tenant is already there
     │   └─ NoNumberAvailable  73  no 700 number is free
     ├─ JournalError           70  the end journal cannot be used
     ├─ LeakTestError          69  the leak test lacks a program or an address
     └─ AsteriskError          69  Asterisk is away, or said no
         ├─ NodeTaken          69  another Asterisk has this one's name
         └─ ProtocolError      70  an event this state cannot see

The number is the exit code of the command line. Codes are those of ``sysexits.h``:

==== ================ =========================================================
code name             meaning
==== ================ =========================================================
0                     done
2                     wrong usage of the command line (click's own)
65   EX_DATAERR       an argument is not acceptable; correct it
66   EX_NOINPUT       what is named does not exist
69   EX_UNAVAILABLE   PostgreSQL or Asterisk does not answer, or a program is missing
70   EX_SOFTWARE      a fault of ours, or damaged data; please report it
73   EX_CANTCREAT     in conflict with what is there; nothing was changed
76   EX_PROTOCOL      program and database are of different versions; migrate
78   EX_CONFIG        settings or keys are wrong; correct them
==== ================ =========================================================

1. A refused call is a value (``Refusal``), not an exception: what is here means a broken part
   or a request that cannot be done.
2. No message carries a real number, a key or a password.
3. ``cause`` is the Q.850 cause that a caller gets where the error ends a call. It is never 34
   (503 would make equipment upstream take the route out) unless another node may do better.
"""

# ruff: noqa: N818  (they are named after what happened)

from __future__ import annotations

from enum import Enum
from typing import ClassVar

__all__ = [
    "AgiRouterError",
    "AsteriskError",
    "BindingConflict",
    "BindingEnded",
    "BindingNotFound",
    "BlockExists",
    "BlockInUse",
    "BlockNotFound",
    "CsvError",
    "DayRefused",
    "ExpiryInvalid",
    "JournalError",
    "KeyInUse",
    "KeyMismatch",
    "KeyRingError",
    "KeyUsedUp",
    "KeysOutdated",
    "LeakTestError",
    "MemberNotFound",
    "ModeError",
    "NoNumberAvailable",
    "NodeTaken",
    "NumberError",
    "NumberFault",
    "NumberResting",
    "ProtocolError",
    "RowInvalid",
    "RowRefused",
    "SameParty",
    "SchemaMismatch",
    "SealError",
    "SettingsError",
    "StoreBusy",
    "StoreError",
    "StoreHeld",
    "StoreUnavailable",
    "TenantExists",
    "TenantNotFound",
]


class AgiRouterError(Exception):
    """
    Something in agi_router went wrong.

    The first line of a class's docstring is its default message.

    Args:
        message: One line without a real number, key or password; says what to do if it can.
    """

    exit_code: ClassVar[int] = 70
    """
    Exit code of the command line, see the table above.
    """

    cause: ClassVar[int] = 31
    """
    Q.850 cause; 31 leaves Asterisk as 480.
    """

    def __init__(self, message: str | None = None) -> None:
        if message is None:
            text = type(self).__doc__ or type(self).__name__
            message = text.strip().partition("\n")[0].rstrip(".")
        super().__init__(message)


class SettingsError(AgiRouterError):
    """
    A setting is missing, unknown or malformed.
    """

    exit_code = 78


class NumberFault(Enum):
    """
    What is wrong with a text that should have been a number.
    """

    EMPTY = "empty"
    WITHHELD = "withheld"
    NOT_DIGITS = "not_digits"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    FOREIGN = "foreign"
    FIXED_LINE = "fixed_line"
    NOT_700 = "not_700"
    IS_700 = "is_700"
    NOT_MOBILE = "not_mobile"


class NumberError(AgiRouterError, ValueError):
    """
    The text is not a number accepted here.

    Args:
        kind: What is wrong with it.
        message: One line on the shape that was expected and the shape that came, without a
            digit of the text.
    """

    exit_code = 65
    cause = 28

    def __init__(self, kind: NumberFault, message: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind


class ExpiryInvalid(AgiRouterError, ValueError):
    """
    The expiry is in the past or out of bounds.
    """

    exit_code = 65


class SameParty(AgiRouterError, ValueError):
    """
    A and B are the same number; a binding needs two.
    """

    exit_code = 65


class ModeError(AgiRouterError, ValueError):
    """
    The binding's mode does not allow this.
    """

    exit_code = 65


class CsvError(AgiRouterError, ValueError):
    """
    The CSV file is not acceptable.
    """

    exit_code = 65


class KeyRingError(AgiRouterError):
    """
    The key ring is missing or malformed.
    """

    exit_code = 78


class KeyMismatch(KeyRingError):
    """
    This key is not the one the database was sealed with.
    """


class KeysOutdated(KeyRingError):
    """
    The keys were rotated a moment ago; nothing was changed, do it again.
    """


class KeyUsedUp(KeyRingError):
    """
    The seal key has sealed 2**32 numbers, as many as it may: run 'agi-router key rotate --seal'.
    """


class KeyInUse(KeyRingError):
    """
    The key is still in use.
    """

    exit_code = 73


class SealError(AgiRouterError):
    """
    A sealed number does not open: wrong key, wrong row or altered data.
    """


class StoreError(AgiRouterError):
    """
    The store failed.
    """


class RowInvalid(StoreError):
    """
    A row of the database holds what this program never writes; look who else writes there.
    """


class RowRefused(StoreError):
    """
    The database refuses what was to become of a row; others may be fine.
    """


class StoreUnavailable(StoreError):
    """
    The database does not answer.
    """

    exit_code = 69


class StoreBusy(StoreUnavailable):
    """
    More waits for the database than it can answer in time.
    """


class StoreHeld(StoreUnavailable):
    """
    Somebody else holds what is needed in the database; try again.
    """


class DayRefused(StoreError):
    """
    A call's id is of another day than the database's clock: set both machines' clocks right.
    """


class SchemaMismatch(StoreError):
    """
    The database schema is older or newer than this program.
    """

    exit_code = 76


class BindingNotFound(StoreError):
    """
    There is no binding with this id.
    """

    exit_code = 66


class MemberNotFound(StoreError):
    """
    The group has no such member.
    """

    exit_code = 66


class BlockNotFound(StoreError):
    """
    The 700 number lies outside our blocks; add its block first.
    """

    exit_code = 66


class BindingConflict(StoreError):
    """
    A party already has a route on this 700 number; choose another number or unbind first.

    Args:
        message: See :class:`AgiRouterError`.
        constraint: Name of the rule in the schema that was violated, where one was.
    """

    exit_code = 73

    def __init__(self, message: str | None = None, *, constraint: str | None = None) -> None:
        super().__init__(message)
        self.constraint = constraint


class NumberResting(StoreError):
    """
    A binding on this 700 number ended not long ago; wait, or choose another number.
    """

    exit_code = 73


class BindingEnded(StoreError):
    """
    The binding has ended and cannot be changed; make a new one.
    """

    exit_code = 73


class BlockExists(StoreError):
    """
    The block is already there.
    """

    exit_code = 73


class BlockInUse(StoreError):
    """
    Bindings live in the block; unbind them or wait until they end.
    """

    exit_code = 73


class NoNumberAvailable(StoreError):
    """
    No 700 number is free for these parties; add a block or unbind first.
    """

    exit_code = 73


class TenantNotFound(StoreError):
    """
    There is no tenant of this name.
    """

    exit_code = 66


class TenantExists(StoreError):
    """
    The tenant is already there.
    """

    exit_code = 73


class JournalError(AgiRouterError):
    """
    The end journal cannot be used.
    """


class LeakTestError(AgiRouterError):
    """
    The leak test lacks a program or an address.
    """

    exit_code = 69


class AsteriskError(AgiRouterError):
    """
    Asterisk is away or refused a request.
    """

    exit_code = 69


class NodeTaken(AsteriskError):
    """
    Another Asterisk has the name of this one, so that nobody can tell their calls apart.

    Args:
        message: Which one, and what to do.
        certain: Whether it is sure to be another one, and not this one after its clock was set.
    """

    def __init__(self, message: str | None = None, *, certain: bool = True) -> None:
        super().__init__(message)
        self.certain = certain


class ProtocolError(AsteriskError):
    """
    Something was reported that cannot follow on what was reported before.
    """

    exit_code = 70
