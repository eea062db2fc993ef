"""
``agi-router leaktest``: whether a number or a name gets through the operator's own PBX.
"""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb, Axyb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Mode, Side
from agi_router.cli.arguments import TENANT
from agi_router.cli.context import read_settings
from agi_router.cli.leaktest_texts import LIFE, ORDER, try_texts
from agi_router.cli.output import echo, echo_json, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.errors import NumberError
from agi_router.leaktest.call_slots import MODES, NUMBERS_PER_SLOT, CallSlot, people
from agi_router.leaktest.callers import Sighting, run_callers
from agi_router.leaktest.carrier import Address, parse_address
from agi_router.leaktest.identities import IDENTITIES, Identity
from agi_router.leaktest.report import (
    Row,
    rows,
    sightings_as_json,
    sightings_summary,
    succeeded,
    summary,
)
from agi_router.leaktest.report import as_json as report_as_json
from agi_router.leaktest.suite import run_suite, scenarios
from agi_router.leaktest.vectors import VECTORS, Vector
from agi_router.numbers import PhoneNumber

__all__ = ["leaktest"]

# More calls at once than this gain nothing: SIPp takes the time.
_MOST_SLOTS = 24
# Of the findings of one vector, for people.
_MOST_LINES = 5


class _SipAddress(click.ParamType[Any]):
    """
    ``host:port``.
    """

    name = "host:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        """
        Read *value*, or fail as wrong usage.
        """
        try:
            return parse_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Numbers(click.ParamType[Any]):
    """
    ``FIRST-LAST``: numbers in a row.
    """

    name = "first-last"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[PhoneNumber, ...]:
        """
        Read *value*, or fail as wrong usage.
        """
        first, dash, last = str(value).partition("-")
        if not dash:
            self.fail("expected FIRST-LAST, like 13800001000-13800001047", param, ctx)
        try:
            low, high = int(PhoneNumber.parse(first).digits), int(PhoneNumber.parse(last).digits)
            numbers = range(low, min(high, low + NUMBERS_PER_SLOT * _MOST_SLOTS - 1) + 1)
            if len(numbers) < NUMBERS_PER_SLOT:
                self.fail(f"at least {NUMBERS_PER_SLOT} numbers in a row are needed", param, ctx)
            return tuple(PhoneNumber.parse(str(number)) for number in numbers)
        except NumberError as error:
            self.fail(str(error), param, ctx)


def _address_option(
    name: str, default: str, text: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(name, type=_SipAddress(), default=default, show_default=True, help=text)


@click.command()
@_address_option("--pbx", "127.0.0.1:5060", "Where the PBX takes SIP over UDP.")
@_address_option("--near", "127.0.0.1:5070", "Address of this machine to call from.")
@_address_option("--far", "127.0.0.1:5090", "Address of this machine to which the PBX calls out.")
@click.option(
    "--numbers",
    type=_Numbers(),
    required=True,
    help="Mobile numbers to play with, three for each call at once; nobody's.",
)
@click.option(
    "--tenant",
    type=TENANT,
    default="default",
    show_default=True,
    metavar="NAME",
    help="Whose bindings it makes: one that asks for no consent, and whose talks begin without a"
    " notice.",
)
@click.option(
    "--vector",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this vector or identity; once for each. All if absent.",
)
@click.option(
    "--messages",
    "texts",
    is_flag=True,
    help="Try the door for texts by SIP, at --pbx, in place of the PBX.",
)
@click.option(
    "--link",
    is_flag=True,
    help="Try the door for texts by SMPP, with the link's settings, in place of the PBX.",
)
@click.option(
    "--captures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep what was said in calls that leaked or failed in this directory.",
)
@json_option
@click.pass_context
def leaktest(  # noqa: PLR0917 - options, not arguments
    context: click.Context,
    pbx: Address,
    near: Address,
    far: Address,
    numbers: tuple[PhoneNumber, ...],
    tenant: str,
    names: Sequence[str],
    captures: Path | None,
    *,
    texts: bool,
    link: bool,
    as_json: bool,
) -> None:
    r"""
    Try whether a number or a name gets through the PBX, and whom it takes for the caller.

    Places calls that tell each side's number and name in every way that SIP has, and searches all
    that the PBX sends to the other side. Needs SIPp (Debian: apt install sip-tester), a running
    router, and a PBX that takes --near for its carrier and, for the time of the test, calls out to
    --far: the carrier's far side is played here, so nobody's phone rings. The bindings are made
    and ended by this command; its calls stay in the records.

    Then it calls with every form in which SIP says who calls (P-Asserted-Identity, From, Privacy,
    Remote-Party-ID, Diversion), and sees by who rings whom the caller is taken for. Where
    AGI_ROUTER_UNASSERTED=refuse is set for the router it must be set here, too.

    With --messages it tries the door for texts in the same way: a text for each place in which a
    sender's side may tell who sends, from either side. It needs no SIPp. The door takes --near for
    a peer, and has --far for its next hop for the time of the test: texts of others wait for that.

    With --link it tries the door for texts by SMPP: a door of its own, with the settings of
    AGI_ROUTER_SMPP_..., at a message centre that it plays. The link itself is not touched.

    Exits with 1 if something leaked, if somebody was taken for another, or if a call did not go as
    it should.

    \b
    Examples:
      agi-router leaktest --tenant leaktest --numbers 13800001000-13800001047
      agi-router leaktest --pbx 192.0.2.10:5060 --near 192.0.2.55:5060 --far 192.0.2.56:5060 \
          --numbers 13800001000-13800001023 --vector update --vector refer --json
      agi-router leaktest --messages --pbx 192.0.2.10:5062 --near 192.0.2.55:5060 \
          --far 192.0.2.55:5090 --numbers 13800001000-13800001047
      agi-router leaktest --link --numbers 13800001000-13800001047
    """
    # Whoever ends the command, its bindings are ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if texts or link:
        door = None if link else (pbx, near, far)
        context.exit(
            try_texts(read_settings(), numbers, names, tenant=tenant, door=door, as_json=as_json)
        )
    vectors, identities = _chosen(names)
    plan = scenarios(vectors)
    settings = read_settings()
    with (
        _work(captures) as work,
        open_store(settings) as store,
        _slots(store, numbers, tenant) as slots,
    ):
        if not as_json:
            echo(f"{len(plan) + len(identities)} calls, {len(slots)} at once", err=True)
        results = asyncio.run(run_suite(plan, slots, pbx=pbx, near=near, far=far, work=work))
        sightings = asyncio.run(
            run_callers(
                identities,
                slots,
                pbx=pbx,
                near=near,
                far=far,
                believe_from=settings.unasserted == "from",
            )
        )
    report = rows(results)
    if as_json:
        told = {"ok": succeeded(report, sightings), "identities": sightings_as_json(sightings)}
        echo_json(report_as_json(report) | told)
    else:
        _tell(report, sightings)
    if not succeeded(report, sightings):
        context.exit(1)


def _chosen(names: Sequence[str]) -> tuple[list[Vector], list[Identity]]:
    """The vectors and identities of these names, or all."""
    vectors = {vector.name: vector for vector in VECTORS}
    identities = {identity.name: identity for identity in IDENTITIES}
    there = [*vectors, *identities]
    if unknown := [name for name in names if name not in there]:
        raise click.UsageError(f"no vector {unknown[0]!r}; there are: {', '.join(there)}")
    return (
        [vectors[name] for name in names or there if name in vectors],
        [identities[name] for name in names or there if name in identities],
    )


def _tell(report: Sequence[Row], sightings: Sequence[Sighting]) -> None:
    """Tell people what was found."""
    echo_table(
        ("vector", "calls", "matches", "faults", "result", "stopped by"),
        [
            (
                row.vector.name,
                len(row.results),
                row.matches,
                row.faults,
                row.outcome,
                row.vector.stopped_by,
            )
            for row in report
        ],
        empty="no vectors",
    )
    for each in report_as_json(report)["vectors"]:
        lines = (*each["findings"], *each["faults"])
        for line in lines[:_MOST_LINES]:
            echo(line)
        if len(lines) > _MOST_LINES:
            echo(f"{each['vector']}: {len(lines) - _MOST_LINES} more (see --json)")
    for seen in sightings:
        if seen.somebody_else or seen.fault:
            what = seen.fault or f"it was taken for {seen.outcome}"
            echo(f"{seen.identity.name}: it is {seen.must_be.value}, but {what}")
    echo(summary(report))
    if sightings:
        echo(sightings_summary(sightings))


@contextmanager
def _work(captures: Path | None) -> Iterator[Path]:
    """A directory for the phones: one that stays, or one that goes."""
    if captures is not None:
        captures.mkdir(parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix="leaktest-", dir=captures))
        return
    work = Path(tempfile.mkdtemp(prefix="agi-router-leaktest-"))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _slots(
    store: BindingStore, numbers: Sequence[PhoneNumber], tenant: str
) -> Iterator[list[CallSlot]]:
    """Slots with bindings that live for the time of a block."""
    made: list[Binding] = []
    terms = Terms(expires_at=store.now() + LIFE, tenant=tenant, order_id=ORDER)
    if store.inventory.tenants.find(tenant)["notice"]:
        raise click.ClickException(
            f"calls of tenant {tenant!r} begin with a notice, during which nothing passes from one"
            f" side to the other: run 'agi-router tenant notice {tenant} off', or say --tenant"
        )
    try:
        slots = []
        for first in range(0, len(numbers) - NUMBERS_PER_SLOT + 1, NUMBERS_PER_SLOT):
            three = numbers[first : first + NUMBERS_PER_SLOT]
            a, b, other = people([number.digits for number in three])
            dialled: dict[Mode, tuple[str, str]] = {}
            for mode, parties in zip(MODES, (Axb, Axyb), strict=True):
                binding = store.bind(parties(a=three[0], b=three[1]), terms)
                made.append(binding)
                dials = {p.side: p.dials.digits for p in binding.parties if p.dials is not None}
                dialled[mode] = dials[Side.A], dials[Side.B]
            slots.append(CallSlot(a=a, b=b, other=other, dialled=dialled))
        yield slots
    finally:
        for binding in made:
            store.unbind(binding.id)
