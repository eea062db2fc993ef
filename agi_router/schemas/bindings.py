"""
What is said of bindings, in requests and in answers.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, create_model

from agi_router.bindings.expiry import LONGEST_LIFE, find_expiry
from agi_router.bindings.fields import Dialled, Members, PartyNumber, reader
from agi_router.bindings.modes import GROUP_MAX
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.pools import Pool
from agi_router.bindings.requests import BindRequest, find_misplaced, make_request, place_y
from agi_router.bindings.terms import CHANGEABLE, TERMS, Kind, Name, Span, Term, Text, Whole, Words
from agi_router.bindings.words import BindingState, Callback, Mode, check_order_id
from agi_router.schemas.answers import ProblemOut
from agi_router.schemas.base import LARGEST_BATCH, MASKED, TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import (
    MINUTE,
    SECOND,
    Number,
    Time,
    X,
    read_field,
    read_members,
    seconds,
)
from agi_router.schemas.groups import Group
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.schemas.queries import CURSOR
from agi_router.tenants.model import check_tenant

__all__ = [
    "BatchIn",
    "BatchOut",
    "BindingChange",
    "BindingIn",
    "BindingOut",
    "BindingsOut",
    "ChoiceIn",
    "OrderIn",
    "ResultOut",
    "SearchIn",
    "describe_term",
    "read_changes",
    "read_choice",
    "read_request",
]


def _type_of(kind: Kind) -> Any:
    match kind:
        case Words(enum=enum):
            return Annotated[enum, Field(strict=False)]
        case Whole(high=high):
            return Annotated[int, Field(ge=1, le=high)]
        case Span(low=low, high=high):
            bounds: dict[str, Any] = {"ge": int(low.total_seconds())}
            if high is not None:
                bounds["le"] = int(high.total_seconds())
            return Annotated[int, Field(**bounds)]
        case Name(check=check):
            return Annotated[str, Field(max_length=128), AfterValidator(check)]
        case Text(longest=longest):
            length = Field(min_length=1, max_length=longest)
            return Annotated[str, length, AfterValidator(kind.read)]
        case _:
            raise TypeError(kind)


def describe_term(term: Term) -> str:
    """
    What a term is, for the OpenAPI document.
    """
    unit = "Seconds: " if isinstance(term.kind, Span) else ""
    return f"{unit}{term.about}.".replace("`", "")


def _terms(*, new: bool) -> dict[str, Any]:
    """
    The fields of the terms.

    Args:
        new: Whether what is left out is as it is by default; else it stays as it is.
    """
    return {
        term.word: (
            _type_of(term.kind) | None,
            Field(
                default=term.default if new else None,
                description=describe_term(term),
            ),
        )
        for term in (TERMS if new else CHANGEABLE)
    }


if TYPE_CHECKING:

    class _TermsIn(Body):
        pool: str | None

    _TermsChange = Body
else:
    _TermsIn = create_model("_TermsIn", __base__=Body, **_terms(new=True))
    _TermsChange = create_model("_TermsChange", __base__=Body, **_terms(new=False))


class ChoiceIn(Body):
    """
    How numbers are chosen that are not given.
    """

    operator_digit: int | None = Field(
        default=None, ge=0, le=9, description="Only numbers with this digit after 700."
    )
    same_x: Annotated[Affinity, Field(strict=False)] | None = Field(
        default=None, description="Prefer or avoid the numbers that the parties had before."
    )

    model_config = example({"operator_digit": 1, "same_x": "prefer"})


class BindingIn(_TermsIn):
    """
    A binding to be made. Fields that are left out are as the mode and the settings have them.
    """

    mode: Annotated[Mode, Field(strict=False)] = Mode.AXB
    a: Number | None = Field(default=None, description="Party A; of groups, give members.")
    members: list[Number] | None = Field(
        default=None,
        max_length=GROUP_MAX,
        description="The members of a group: gxb, gxyb; or give group.",
    )
    group: Group | None = Field(
        default=None, description="The party group whose members are the group; or give members."
    )
    b: Number | None = Field(default=None, description="Party B.")
    callback: Annotated[Callback, Field(strict=False)] | None = Field(
        default=None, description="Who rings when a group, or a stranger, is called back."
    )
    default: Number | None = Field(
        default=None, description="The default member; of ax and axe, the fixed number."
    )
    window: int | None = seconds("how long who called last is called back", SECOND, LONGEST_LIFE)
    x: X | None = Field(
        default=None, description="The number that A's side dials; chosen if left out."
    )
    y: X | None = Field(
        default=None, description="The number that B dials: axyb, gxyb; chosen if left out."
    )
    y_on_call: bool = Field(default=False, description="axyb: make B's number when A calls.")
    y_ttl: int | None = seconds("how long such a number lives", SECOND, LONGEST_LIFE)
    extension: str | None = Field(
        default=None, max_length=4, description="axe: 1 to 4 digits; chosen if left out."
    )
    ttl: int | None = seconds("how long it lives from now", MINUTE, LONGEST_LIFE)
    expires_at: Time | None = Field(
        default=None, description="When it ends, with an offset; give this or ttl."
    )
    order: Annotated[str, Field(max_length=512), AfterValidator(check_order_id)] | None = Field(
        default=None, description="The order behind it.", examples=["A-1001"]
    )
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's keys alone may say so."
    )
    choice: ChoiceIn | None = Field(
        default=None, description="How numbers are chosen that are not given."
    )

    model_config = example(
        {
            "mode": "axb",
            "a": "13800000001",
            "b": "13800000002",
            "ttl": 7200,
            "max_calls": 10,
            "order": "A-1001",
            "choice": {"same_x": "prefer"},
        }
    )


class BatchIn(Body):
    """
    Bindings to be made, each by itself.
    """

    bindings: list[BindingIn] = Field(min_length=1, max_length=LARGEST_BATCH)

    model_config = example(
        {"bindings": [{"a": "13800000001", "b": "13800000002", "order": "A-1001"}]}
    )


class BindingChange(_TermsChange):
    """
    What changes of a binding (RFC 7396): what is left out stays as it is, null takes it back.
    """

    ttl: int | None = seconds("it ends so long from now", MINUTE, LONGEST_LIFE)
    expires_at: Time | None = Field(
        default=None, description="It ends then, earlier or later; give this or ttl."
    )
    order: Annotated[str, Field(max_length=512), AfterValidator(check_order_id)] | None = Field(
        default=None, description="The order behind it."
    )
    default: Number | None = Field(
        default=None,
        description="By itself: the member whom B reaches, of ax and axe whom A reaches; "
        "by last, until somebody has called.",
    )
    a: Number | None = Field(default=None, description="By itself: who takes the place of A.")
    b: Number | None = Field(default=None, description="By itself: who takes the place of B.")
    group: Group | None = Field(
        default=None, description="By itself: the party group that becomes side A."
    )

    model_config = example({"ttl": 3600, "max_calls": 20, "ring": None}, {"a": "13800000003"})


class SearchIn(Body):
    """
    A party, and perhaps a number that it is on.
    """

    number: Number
    x: X | None = Field(default=None, description="On this 700 number only.")
    everything: bool = Field(default=False, description="Bindings that are over, too.")
    cursor: str | None = Field(default=None, max_length=256, description=CURSOR)
    limit: int = Field(default=100, ge=1, le=200)

    model_config = example({"number": "13800000001", "x": "700123456780001"})


class OrderIn(Body):
    """
    An order.
    """

    order: Annotated[str, Field(max_length=512), AfterValidator(check_order_id)]
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's keys alone may say so."
    )

    model_config = example({"order": "A-1001"})


# What a body says beside the request itself.
_BESIDE = {"mode", "choice", "old"}


# The words of files and options, where a field has another name.
_WORDS = {"expires_at": "expires"}


def read_request(
    body: BindingIn, *, fixed_lines: bool, tenant: str, pool: Pool | None = None
) -> BindRequest:
    """
    What is asked for.

    Args:
        body: What came.
        fixed_lines: Whether fixed lines may be parties.
        tenant: Whose binding it is, where it does not say.
        pool: The pool that it names.

    Raises:
        RequestInvalid: The pool takes no bindings by its mode.
        Problem: A field is missing, not of this mode or not acceptable, or fields do not go
            together.
    """
    said = {
        _WORDS.get(name, name): value
        for name in body.model_fields_set - _BESIDE
        if (value := getattr(body, name)) is not None
    }
    placed = {"mode": body.mode, **read_field("", lambda: place_y(said))}
    if pool is not None:
        if "mode" not in body.model_fields_set and pool.mode is not None:
            del placed["mode"]
        placed = pool.fill(placed)
    mode = placed.pop("mode")
    faults = [
        FieldFault(
            f"/{each.word}", "not_of_mode" if each.word in placed else "missing", each.message
        )
        for each in find_misplaced(mode, placed)
    ]
    if faults:
        raise Problem.of_fields(faults)
    values = {
        word: _read_word(word, value, fixed_lines=fixed_lines) for word, value in placed.items()
    }
    return read_field("", lambda: make_request({"mode": mode, **values}, tenant=tenant))


def read_changes(body: BindingChange, *, now: datetime) -> dict[str, Any]:
    """
    What is to change, by the names of :class:`agi_router.bindings.terms.Terms`.

    Args:
        body: What came, without ``default``.
        now: The store's time.

    Raises:
        Problem: Its end is not acceptable.
    """
    changes: dict[str, Any] = {}
    if (body.ttl, body.expires_at) != (None, None):
        changes["expires_at"] = read_field(
            "/ttl" if body.expires_at is None else "/expires_at",
            lambda: find_expiry(
                now,
                ttl=None if body.ttl is None else timedelta(seconds=body.ttl),
                expires_at=body.expires_at,
                default=timedelta(),
            ),
        )
    if "order" in body.model_fields_set:
        changes["order_id"] = body.order
    for term in CHANGEABLE:
        if term.word in body.model_fields_set:
            value = getattr(body, term.word)
            spans = isinstance(term.kind, Span) and value is not None
            changes[term.name] = term.kind.load(value) if spans else value
    return changes


def _read_word(word: str, value: Any, *, fixed_lines: bool) -> Any:
    kind = reader(word, fixed_lines=fixed_lines)
    match kind:
        case Members():
            return read_members(value, fixed_lines=fixed_lines)
        case Span() if isinstance(value, int):
            return timedelta(seconds=value)
        case PartyNumber() | Dialled():
            return read_field(f"/{word}", lambda: kind.read(value))
        case Name():
            return read_field(f"/{word}", lambda: kind.read(value))
        case _:
            return value


def read_choice(body: BindingIn) -> NumberPolicy:
    """
    How numbers are chosen that are not given.
    """
    choice = body.choice
    if choice is None:
        return NumberPolicy()
    return NumberPolicy(operator_digit=choice.operator_digit, same_x=choice.same_x)


_BINDING: dict[str, Any] = {
    "id": "70012345678-42",
    "mode": "axb",
    "x": "700123456780001",
    "a": MASKED,
    "b": "138****0002",
    "state": "active",
    "begins_at": TIME,
    "expires_at": "2026-01-31T17:04:05+00:00",
    "ended_at": None,
    "calls_used": 0,
    "messages_used": 0,
    **{term.word: term.store(term.default) for term in TERMS},
    "max_calls": 10,
    "order": "A-1001",
    "tenant": "couriers",
    "version": 1,
    "damage": None,
}


class _BindingHead(Out):
    id: str
    mode: Mode
    x: str | None = Field(description="What A's side dials.")
    y: str | None = Field(default=None, description="What B dials, where it is another one.")
    y_ttl: int | None = None
    parent: str | None = Field(default=None, description="The binding whose call made this one.")
    extension: str | None = None
    a: str | None = None
    members: list[str] | None = None
    group: str | None = Field(default=None, description="The party group that is side A.")
    b: str | None
    callback: Callback | None = None
    window: int | None = None
    called_back: list[str] | None = Field(default=None, description="Who rings, as it stands.")
    state: BindingState
    begins_at: str
    expires_at: str
    ended_at: str | None
    calls_used: int
    messages_used: int


def _shown_type(term: Term) -> Any:
    match term.kind:
        case Words(enum=enum):
            kind: Any = enum
        case Whole() | Span():
            kind = int
        case _:
            kind = str
    return kind | None if term.default is None else kind


if TYPE_CHECKING:
    _TermsOut = _BindingHead
else:
    _TermsOut = create_model(
        "_TermsOut",
        __base__=_BindingHead,
        **{
            term.word: (_shown_type(term), Field(description=describe_term(term)))
            for term in TERMS
        },
    )


class BindingOut(_TermsOut):
    """
    A binding. Numbers of parties are masked.
    """

    order: str | None
    tenant: str
    version: int = Field(description="Counts its changes.")
    damage: str | None = Field(description="Why its parties cannot be read.")

    model_config = example(_BINDING)


class BindingsOut(Out):
    """
    Bindings, newest first.
    """

    bindings: list[BindingOut]
    next_cursor: NextCursor = None

    model_config = example({"bindings": [_BINDING]})


class ResultOut(Out):
    """
    What became of one of a batch.
    """

    status: int
    binding: BindingOut | None = None
    problem: ProblemOut | None = None


class BatchOut(Out):
    """
    What became of each, in the order in which they came.
    """

    results: list[ResultOut]

    model_config = example({"results": [{"status": 201, "binding": _BINDING}]})
