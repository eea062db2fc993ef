"""
``agi-router lock``: who and what neither calls, nor is called, nor is bound.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TextIO, TypeVar

import click

from agi_router.bindings.store import BindingStore
from agi_router.cli.acts import record_act
from agi_router.cli.arguments import NUMBER, SPAN, TENANT, TIME, Checked, scope_option
from agi_router.cli.context import read_settings
from agi_router.cli.damage import damaged_among, echo_rows, fail_if_damaged
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.db.connection import Queries
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import Lock, LockedThing, check_rule, parse_lock_id
from agi_router.persons.views import describe_lock
from agi_router.records.audit import Actor, check_note
from agi_router.settings import Settings
from agi_router.texts import strip

__all__ = ["group", "here", "on"]

_DAMAGED = (
    "lock(s) are damaged: see 'agi-router lock show' why; lift these and set them anew, or restore"
    " them from a backup"
)
_COLUMNS = ("id", "on", "reason", "state", "from", "until", "set by")
_REASON = click.Choice([each.value for each in LockReason])
_LOCK = Checked("id", parse_lock_id)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def here() -> str:
    """
    Who runs this command, as locks and appeals remember it.
    """
    actor = Actor.here(os.environ)
    return f"{actor.name}@{actor.host}"[:128]


@click.group("lock")
def group() -> None:
    """
    Locks: on persons, 700 numbers, blocks and tenants.
    """


def _things(command: _Command) -> _Command:
    """
    The options that say what is locked.
    """
    for option in (
        click.option(
            "--file",
            "file",
            type=click.File("r"),
            metavar="FILE",
            help="700 numbers and blocks, a line each; - for standard input.",
        ),
        click.option(
            "--digit",
            type=click.IntRange(0, 9),
            help="All blocks with this operator digit, the one after 700.",
        ),
        click.option(
            "--tenant",
            type=TENANT,
            metavar="NAME",
            help="A tenant; or, with --person, the one for which alone the person is locked.",
        ),
        click.option(
            "--block",
            "blocks",
            multiple=True,
            type=Checked("block", Block.parse),
            metavar="BLOCK",
            help="A block, as often as needed.",
        ),
        click.option(
            "--x",
            "numbers",
            multiple=True,
            type=Checked("number", XNumber.parse),
            metavar="NUM",
            help="A 700 number, as often as needed.",
        ),
        click.option(
            "--person",
            type=NUMBER,
            metavar="NUM",
            help="A real number; - for a line of standard input.",
        ),
    ):
        command = option(command)
    return command


@group.command("set")
@_things
@click.option("--reason", required=True, type=_REASON, help="Why.")
@click.option("--from", "starts_at", type=TIME, help="From when; from now if absent.")
@click.option("--until", "ends_at", type=TIME, help="Until when; until it is reviewed if absent.")
@click.option("--for", "span", type=SPAN, help="For how long from now, instead of --until.")
@click.option("--rule", type=Checked("text", check_rule), help="The rule by which it is done.")
@click.option("--note", type=Checked("text", check_note), help="What the person may be told.")
@click.option(
    "--cut",
    is_flag=True,
    help="Cut the calls that are up as it begins; for misuse and security_risk only.",
)
@json_option
def set_(  # noqa: PLR0917 - options
    reason: str,
    starts_at: datetime | None,
    ends_at: datetime | None,
    span: timedelta | None,
    rule: str | None,
    note: str | None,
    *,
    cut: bool,
    as_json: bool,
    **said: Any,
) -> None:
    r"""
    Lock a person, 700 numbers, blocks or a tenant.

    The next call is refused. Calls that are up go on, unless they are to be cut.

    \b
    Examples:
      agi-router lock set --person - --reason arrears --rule R-7
      agi-router lock set --person - --tenant couriers --reason account_anomaly --for 2h
      agi-router lock set --x 700… --reason misuse --note "complaints" --cut
      agi-router lock set --digit 1 --reason maintenance \
          --from 2026-03-01T02:00+08:00 --until 2026-03-01T04:00+08:00
    """
    if span is not None and (ends_at is not None or starts_at is not None):
        raise click.UsageError("--for counts from now: give --until instead")
    with _opened() as (store, settings, queries):
        things = _read_things(store, settings, **said)
        until = store.now() + span if span is not None else ends_at
        locks = []
        for thing in things:
            with queries.transaction():
                made = store.locks.set(
                    thing,
                    LockReason(reason),
                    by=here(),
                    rule=rule,
                    note=note,
                    starts_at=starts_at,
                    ends_at=until,
                    cut=cut,
                )
                record_act(queries, f"lock {made.id}", reason=reason, tag=_tag(store, thing))
            locks.append(made)
    _echo_changed(locks, as_json=as_json)


@group.command("list")
@click.option("--subject", type=click.Choice([each.value for each in Subject]), help="On such.")
@click.option("--reason", type=_REASON, help="For this reason.")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@scope_option
@json_option
def list_(
    subject: str | None,
    reason: str | None,
    limit: int,
    tenant: str | None,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    r"""
    List locks, newest first. Those that are damaged are listed too, and end it with 70.

    \b
    Example:
      agi-router lock list --reason misuse
    """
    with open_store(read_settings(), tenant=tenant) as store:
        locks = store.locks.all(
            subject=None if subject is None else Subject(subject),
            reason=None if reason is None else LockReason(reason),
            everything=everything,
            limit=limit,
        )
    _echo_list(locks, as_json=as_json)


@group.command("show")
@click.argument("lock_id", type=_LOCK, metavar="[ID]", required=False)
@click.option("--person", type=NUMBER, metavar="NUM", help="All on this real number instead.")
@click.option("--all", "everything", is_flag=True, help="Of a person, those that are over, too.")
@scope_option
@json_option
def show(
    lock_id: int | None,
    person: str | None,
    tenant: str | None,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    r"""
    Show a lock, or all locks on a person: why, until when, and what the person may be told.

    Of a person those are shown too that are damaged, and may be on it.

    \b
    Examples:
      agi-router lock show 17
      agi-router lock show --person -
    """
    if (lock_id is None) is (person is None):
        raise click.UsageError("give an id or --person, and not both")
    settings = read_settings()
    with open_store(settings, tenant=tenant) as store:
        if lock_id is not None:
            _echo(store.locks.find(lock_id), as_json=as_json)
            return
        number = PhoneNumber.parse(person or "", fixed_lines=settings.fixed_lines)
        tag = store.keys.tag(number)
        record_act(Queries(store.connection), "the locks on a person", tag=tag)
        locks = store.locks.of_person(number, everything=everything)
    _echo_list(locks, as_json=as_json)


@group.command("lift")
@click.argument("lock_ids", type=_LOCK, metavar="[ID]...", nargs=-1)
@_things
@click.option("--reason", type=_REASON, help="Of what is named, only locks for this reason.")
@click.option("--note", type=Checked("text", check_note), help="Why it is done.")
@json_option
def lift(
    lock_ids: Sequence[int],
    reason: str | None,
    note: str | None,
    *,
    as_json: bool,
    **said: Any,
) -> None:
    r"""
    Lift locks now: by their ids, or all on what is named.

    Of a person those are lifted that hold everywhere; with --tenant, those for that tenant. One
    that is damaged is lifted by its id alone.

    \b
    Examples:
      agi-router lock lift 17 --note "reviewed"
      agi-router lock lift --person - --reason arrears --note "paid"
      agi-router lock lift --digit 1 --reason maintenance
    """
    if bool(lock_ids) is any(value not in {None, ()} for value in said.values()):
        raise click.UsageError("give ids, or say what is locked, and not both")
    with _opened() as (store, settings, queries):
        wanted = None if reason is None else LockReason(reason)
        found = (
            [store.locks.find(each) for each in lock_ids]
            if lock_ids
            else store.locks.on_things(_read_things(store, settings, **said), wanted)
        )
        with queries.transaction():
            damaged = [] if lock_ids else damaged_among(map(describe_lock, found))
            if lock_ids:
                lifted = [store.locks.lift(each.id, by=here(), note=note) for each in found]
            else:
                sure = [each for each in found if each.thing.damage is None]
                lifted = store.locks.lift_all(sure, by=here(), note=note)
            for each in lifted:
                record_act(queries, f"lock {each.id}", reason=note, tag=_tag(store, each.thing))
    _echo_changed(lifted, as_json=as_json)
    fail_if_damaged(damaged, _DAMAGED)


@contextmanager
def _opened() -> Iterator[tuple[BindingStore, Settings, Queries]]:
    settings = read_settings()
    with open_store(settings) as store:
        yield store, settings, Queries(store.connection)


def _read_things(
    store: BindingStore,
    settings: Settings,
    *,
    person: str | None,
    numbers: Sequence[XNumber],
    blocks: Sequence[Block],
    tenant: str | None,
    digit: int | None,
    file: TextIO | None,
) -> list[LockedThing]:
    """
    What the options name.

    Raises:
        NumberError: A line is neither a 700 number nor a block, or --person is no number.
        click.UsageError: They name nothing, or a person or a tenant and something else.
    """
    several = [LockedThing(subject=Subject.NUMBER, number=each) for each in numbers]
    several += [LockedThing(subject=Subject.BLOCK, block=each) for each in blocks]
    if digit is not None:
        several += [
            LockedThing(subject=Subject.BLOCK, block=each)
            for each in store.inventory.of_operator(digit)
        ]
    if file is not None:
        several += [_read_line(line) for line in map(strip, file) if line]
    if several and (person is not None or tenant is not None):
        raise click.UsageError("a person or a tenant is locked by itself")
    if person is not None:
        number = PhoneNumber.parse(person, fixed_lines=settings.fixed_lines)
        return [LockedThing(subject=Subject.PERSON, person=number, tenant=tenant)]
    if tenant is not None:
        return [LockedThing(subject=Subject.TENANT, tenant=tenant)]
    if not several:
        raise click.UsageError("say what: --person, --x, --block, --digit, --tenant or --file")
    return several


def _tag(store: BindingStore, thing: LockedThing) -> int | None:
    """
    By which a person is found in the audit.
    """
    return None if thing.person is None else store.keys.tag(thing.person)


def _read_line(line: str) -> LockedThing:
    if len(line) <= len("70012345678"):
        return LockedThing(subject=Subject.BLOCK, block=Block.parse(line))
    return LockedThing(subject=Subject.NUMBER, number=XNumber.parse(line))


def _echo_changed(locks: Sequence[Lock], *, as_json: bool) -> None:
    if len(locks) == 1:
        _echo(locks[0], as_json=as_json)
    else:
        _echo_list(locks, as_json=as_json)


def _echo(lock: Lock, *, as_json: bool) -> None:
    row = describe_lock(lock)
    (echo_json if as_json else echo_pairs)(row)
    fail_if_damaged(damaged_among([row]), _DAMAGED)


def _echo_list(locks: Sequence[Lock], *, as_json: bool) -> None:
    rows = list(map(describe_lock, locks))
    echo_rows(rows, _echo_table, _DAMAGED, as_json=as_json)


def _echo_table(rows: Sequence[dict[str, Any]]) -> None:
    echo_table(
        _COLUMNS,
        [
            (
                row["id"],
                on(row),
                row["reason"],
                row["state"],
                row["starts_at"],
                row["over_at"] or row["ends_at"] or "reviewed",
                row["set_by"],
            )
            for row in rows
        ],
        empty="no locks",
    )


def on(row: dict[str, Any]) -> str:
    """
    What a lock is on, for people.
    """
    named = None if row["damage"] is None else "damaged"
    match Subject(row["subject"]):
        case Subject.NUMBER:
            return named or str(row["x"])
        case Subject.BLOCK:
            return f"block {named or row['block']}"
        case Subject.TENANT:
            return f"tenant {row['tenant']}"
        case Subject.PERSON:
            person = named or str(row["person"])
            return f"{person} for {row['tenant']}" if row["tenant"] else person
