"""
The command `tests/bench/run api`: what it costs a platform to bind.

Single binds per second through each way in, and PostgreSQL alone inserting the same rows.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import contextlib
import gc
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import BindRequest, make_request
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Mode
from agi_router.calls.arrival import Call
from agi_router.db.connection import Queries, connect
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope, write_bearer
from agi_router.tenants.rules import Consent
from harness.alibaba import beijing, sign_rpc
from harness.database import Server

from .binding import QUARANTINE, binder, parties, party, say
from .cpu import Processes
from .crew import Done, work_together
from .errors import BenchError
from .fresh import fresh_database
from .http_clients import Answers, ask_all, post
from .pgbench import pgbench
from .routers import serving
from .rows import CopyForm, Inserts, copied, copy_in, insert_script
from .standin import Crowd, StandIn

ABOUT = """\
Binds per second: of the store, through /v1, also for a tenant with the rules that a new one has
(orders, consent that is stated), and through the door for clients of Alibaba Cloud; and of pgbench
that inserts the same rows: a binding, its two routes and the event that tells of it. Batches of
200 against COPY: of the store by one client and by eight, and through /v1. Interleaved, with CPU.
See tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).with_name("agi-router")
# Whose the bindings of the store are.
_FIRST_TENANT = "default"
# Held to nothing; and to what a new tenant is held to.
_TENANT, _RULED = "couriers", "meals"
_BLOCKS = 20
_FIRST = 70012340000
_STORE_CLIENTS = 8
_HTTP_CLIENTS = 16
_BATCH = 200
_ROOM = 100_000
# By then a session has planned what batches ask.
_FIRST_BATCHES = 3
# Of all clients, for each second of the other sides.
_BATCHES = 48
# More than any door answers in a second.
_SIGNED = 5_000
_DAY = timedelta(days=1)
_START = 30.0
# A second, and bindings that they are on.
_CALLS = 30
_CALLED = 100


@dataclass(frozen=True, slots=True)
class Door:
    """
    The HTTP door, on a database of its own.
    """

    pid: int
    address: tuple[str, int]
    dsn: str
    bearer: str
    key_id: str
    secret: str
    ruled: bool

    @property
    def host(self) -> str:
        """As requests name it."""
        return f"{self.address[0]}:{self.address[1]}"

    def bindings(self, serials: Iterator[int]) -> Iterator[bytes]:
        """Requests of /v1, without end."""
        for serial in serials:
            yield self._post("/v1/bindings", self._binding(serial), serial)

    def batches(self, serials: Iterator[int]) -> Iterator[bytes]:
        """The same with 200 bindings each."""
        while True:
            some = [next(serials) for _ in range(_BATCH)]
            bodies = [self._binding(each) for each in some]
            yield self._post("/v1/bindings/batch", {"bindings": bodies}, some[0])

    def _binding(self, serial: int) -> dict[str, Any]:
        body = {"a": party(2 * serial).digits, "b": party(2 * serial + 1).digits, "ttl": 86400}
        said = {"order": f"bench-{serial}", "consent": "app"} if self.ruled else {}
        return {**body, **said}

    def _post(self, target: str, body: dict[str, Any], serial: int) -> bytes:
        headers = {
            "Authorization": f"Bearer {self.bearer}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"bench-{serial}",
        }
        return post(target, self.host, headers, json.dumps(body).encode())

    def actions(self, serials: Iterator[int], number: int) -> list[bytes]:
        """Requests of BindAxb; all are signed before, as clients would elsewhere."""
        until = beijing(_DAY)
        found = []
        for _ in range(number):
            serial = next(serials)
            own = {
                "PoolKey": _TENANT,
                "PhoneNoA": party(2 * serial).digits,
                "PhoneNoB": party(2 * serial + 1).digits,
                "Expiration": until,
            }
            values = sign_rpc("BindAxb", own, key_id=self.key_id, secret=self.secret)
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            found.append(post("/", self.host, headers, urlencode(values).encode()))
        return found


class Bench:
    """
    One run on a server of its own.

    Args:
        server: The server.
        work: Directory for files.
        told: Whether the tenants are told of their bindings: each bind writes an event.
    """

    def __init__(self, server: Server, work: Path, *, told: bool) -> None:
        self._server = server
        self._work = work
        self._told = told
        self._keys = KeyRing.generate()
        self._serials = count()
        write_key_ring(work / "key", self._keys)

    @contextmanager
    def database(self) -> Iterator[str]:
        """A database of its own, with blocks and both tenants."""
        with fresh_database(self._server, self._keys, first=_FIRST, blocks=_BLOCKS) as dsn:
            with connect(dsn) as connection:
                tenants = BindingStore(connection, self._keys).inventory.tenants
                tenants.add(_TENANT)
                tenants.add(_RULED, needs_order=True, consent=Consent.ASSERTED)
                if self._told:
                    events = EventStore(Queries(connection), self._keys)
                    for tenant in (_FIRST_TENANT, _TENANT, _RULED):
                        events.set_types(tenant, [EventType.BINDING_CREATED])
            yield dsn

    @contextmanager
    def door(self, tenant: str = _TENANT) -> Iterator[Door]:
        """The HTTP door, on a database of its own, as a tenant asks it."""
        with self.database() as dsn:
            with connect(dsn) as connection:
                keys = ApiKeyStore(Queries(connection))
                of_tenant = frozenset(each for each in KeyScope if not each.of_operator)
                bearer, secret = (
                    keys.add(
                        tenant=tenant,
                        form=form,
                        label="bench",
                        scopes=of_tenant,
                        networks=(),
                        life=_DAY,
                        keys=self._keys,
                    )
                    for form in (KeyForm.BEARER, KeyForm.SIGNED)
                )
            with socket.create_server(("127.0.0.1", 0)) as probe:
                address = probe.getsockname()[:2]
            env = {
                "AGI_ROUTER_DSN": dsn,
                "AGI_ROUTER_KEY_FILE": str(self._work / "key"),
                "AGI_ROUTER_HTTP_LISTEN": f"{address[0]}:{address[1]}",
                "AGI_ROUTER_HTTP_RATE": "1000000/1s",
                "AGI_ROUTER_DB_CONNECTIONS": str(_STORE_CLIENTS),
            }
            with (self._work / "door.log").open("ab") as log:
                process = subprocess.Popen(
                    [_PROGRAM, "serve", "--door", "http"], env=env, stdout=log, stderr=log
                )
            try:
                self._wait(process, address)
                yield Door(
                    process.pid,
                    address,
                    dsn,
                    write_bearer(bearer[0].id, bearer[1]),
                    secret[0].id,
                    secret[1],
                    tenant == _RULED,
                )
            finally:
                process.terminate()
                process.wait()

    def _wait(self, process: subprocess.Popen[bytes], address: tuple[str, int]) -> None:
        until = time.monotonic() + _START
        while time.monotonic() < until and process.poll() is None:
            with (
                contextlib.suppress(OSError),
                urlopen(f"http://{address[0]}:{address[1]}/readyz") as answer,
            ):
                if answer.status == 200:
                    return
            time.sleep(0.05)
        raise BenchError(f"the HTTP door does not start: {(self._work / 'door.log').read_text()}")

    def raw(self, seconds: int) -> dict[str, float]:
        """PostgreSQL alone: an INSERT for each table, in one transaction."""
        return self._inserted("raw", "each", seconds)

    def raw_together(self, seconds: int) -> dict[str, float]:
        """The same by one statement, which nobody would write."""
        return self._inserted("raw_together", "together", seconds)

    def _inserted(self, name: str, inserts: Inserts, seconds: int) -> dict[str, float]:
        with self.database() as dsn:
            scripts = []
            with connect(dsn) as connection:
                store = BindingStore(connection, self._keys)
                for block in {
                    store.bind(
                        parties(next(self._serials)), Terms(expires_at=store.now() + _DAY)
                    ).id.block.value
                    for _ in range(_BLOCKS)
                }:
                    file = self._work / f"insert-{block}.sql"
                    file.write_text(insert_script(connection, block, inserts))
                    scripts.append(file)
            before = self._server_cpu()
            rate = pgbench(
                self._server.program("pgbench"),
                dsn,
                scripts,
                clients=_STORE_CLIENTS,
                seconds=seconds,
            )
            return {
                f"{name}_per_second": rate,
                f"{name}_server_ms": 1000 * (self._server_cpu() - before) / (rate * seconds),
            }

    def store(self, seconds: int) -> dict[str, float]:
        """The store, by as many processes."""
        with self.database() as dsn:
            return self._by_store(binder, dsn, _STORE_CLIENTS, seconds).describe("store")

    def _by_store(self, prepare: Any, dsn: str, clients: int, work: int) -> Done:
        first = next(self._serials)
        # They start where no other side has been.
        each = [
            (dsn, self._keys.to_text(), first + _ROOM * (client + 1), work)
            for client in range(clients)
        ]
        return work_together(prepare, each, self._server_cpu)

    def rest(self, seconds: int) -> dict[str, float]:
        """Through /v1; then at half of that rate, alone and beside calls: how long both take."""
        with self.door() as door:
            found = self._measured(
                "rest", door, lambda rate: self._bind(door, seconds, rate), rate=None
            )
            half = found["rest_per_second"] / 2
            alone = quantiles(self._bind(door, seconds, half).waits, n=100)
            with self._calls(door) as crowd:
                beside = quantiles(self._bind(door, seconds, half).waits, n=100)
            calls = quantiles(crowd.waits, n=100)
            return {
                **found,
                "rest_half_rate_p50_ms": 1000 * alone[49],
                "rest_half_rate_p99_ms": 1000 * alone[98],
                "rest_beside_calls_p99_ms": 1000 * beside[98],
                "call_beside_binds_p50_ms": calls[49],
                "call_beside_binds_p99_ms": calls[98],
                "calls_beside_binds": len(crowd.waits),
            }

    def ruled(self, seconds: int) -> dict[str, float]:
        """Through /v1, one by one and in batches, for a tenant with the rules of a new one."""
        with self.door(_RULED) as door:
            found = self._measured(
                "ruled", door, lambda rate: self._bind(door, seconds, rate), rate=None
            )
        with self.door(_RULED) as door:
            batches = self._batches(door, seconds)
        return {**found, "ruled_batch_per_second": batches.count * _BATCH / batches.seconds}

    @contextmanager
    def _calls(self, door: Door) -> Iterator[Crowd]:
        """
        Thirty calls a second meanwhile, to a router on the door's database.

        Raises:
            BenchError: One was refused, or nobody decided.
        """
        with connect(door.dsn) as connection:
            store = BindingStore(connection, self._keys)
            terms = Terms(expires_at=store.now() + _DAY)
            made = [store.bind(parties(next(self._serials)), terms) for _ in range(_CALLED)]
        calls = [
            Call(caller=party.number, x_number=party.dials)
            for binding in made
            for party in binding.parties
            if party.dials is not None
        ]
        crowd, ended, faults = Crowd(), threading.Event(), []
        home = Path(tempfile.mkdtemp(dir=self._work))
        with ExitStack() as stack:
            pbx = stack.enter_context(StandIn(cycle(calls)))
            router = serving(pbx.url, dsn=door.dsn, work=home, keys=self._work / "key")
            stack.enter_context(router)
            pbx.meet()

            def call() -> None:
                begun = time.monotonic()
                while not ended.wait(max(0, begun + len(crowd.waits) / _CALLS - time.monotonic())):
                    try:
                        pbx.call_once(crowd)
                    except BenchError as error:
                        faults.append(error)
                        return

            thread = threading.Thread(target=call)
            thread.start()
            try:
                yield crowd
            finally:
                ended.set()
                thread.join()
        if faults:
            raise faults[0]

    def _bind(self, door: Door, seconds: int, rate: float | None) -> Answers:
        return ask_all(
            door.address,
            door.bindings(self._serials),
            clients=_HTTP_CLIENTS,
            seconds=seconds,
            right=b" 201 ",
            rate=rate,
        )

    def alibaba(self, seconds: int) -> dict[str, float]:
        """Through the door for clients of Alibaba Cloud."""
        with self.door() as door:
            requests = door.actions(self._serials, _SIGNED * seconds)
            return self._measured(
                "alibaba",
                door,
                lambda _: ask_all(
                    door.address,
                    iter(requests),
                    clients=_HTTP_CLIENTS,
                    seconds=seconds,
                    right=b'"Code":"OK"',
                ),
                rate=None,
            )

    def batches(self, seconds: int) -> dict[str, float]:
        """Batches of 200 through /v1 by one client."""
        with self.door() as door:
            made = self._batches(door, seconds)
        return {"batch_per_second": made.count * _BATCH / made.seconds}

    def store_batches(self, seconds: int) -> dict[str, float]:
        """Batches of the store, and COPY of the rows that they have made, by as many clients."""
        found: dict[str, float] = {}
        for clients in (1, _STORE_CLIENTS):
            with self.database() as dsn:
                batches = _BATCHES * seconds // clients
                made = self._by_store(batch_binder, dsn, clients, batches)
                with connect(dsn) as connection:
                    copies: dict[str, tuple[CopyForm, Any]] = {
                        "copy": ("text", copied(connection, _BATCH, "text")),
                        "binary_copy": ("binary", copied(connection, _BATCH, "binary")),
                    }
            found |= made.describe(f"store_batch_by_{clients}")
            for name, (form, pieces) in copies.items():
                with self.database() as dsn:
                    shares = [(dsn, pieces[each::clients], form) for each in range(clients)]
                    copy = work_together(copier, shares, self._server_cpu)
                found |= copy.describe(f"{name}_by_{clients}")
                ratio = made.count / made.seconds / (copy.count / copy.seconds)
                found[f"store_batch_by_{clients}_vs_{name}"] = ratio
        return found

    def _batches(self, door: Door, seconds: int) -> Answers:
        return ask_all(
            door.address,
            door.batches(self._serials),
            clients=1,
            seconds=seconds,
            right=b'"status":201',
        )

    def _measured(
        self, name: str, door: Door, ask: Any, *, rate: float | None
    ) -> dict[str, float]:
        server, own = self._server_cpu(), Processes().cpu(door.pid)
        answers: Answers = ask(rate)
        if not answers.count:
            raise BenchError("nothing was bound")
        return {
            f"{name}_per_second": answers.count / answers.seconds,
            f"{name}_server_ms": 1000 * (self._server_cpu() - server) / answers.count,
            f"{name}_door_ms": 1000 * (Processes().cpu(door.pid) - own) / answers.count,
            f"{name}_client_ms": 1000 * answers.cpu / answers.count,
        }

    def _server_cpu(self) -> float:
        return Processes().cpu(self._server.pid)


@contextmanager
def batch_binder(dsn: str, keys: str, first: int, batches: int) -> Iterator[Callable[[], int]]:
    """One client of the store, who binds so many batches: see :mod:`bench.crew`."""
    with connect(dsn) as connection:
        store, serials = BindingStore(connection, KeyRing.parse(keys), QUARANTINE), count(first)
        # What is asked for is there before, as the rows are that are copied.
        asked = [
            [_request(each) for each in islice(serials, _BATCH)]
            for _ in range(_FIRST_BATCHES + batches)
        ]
        gc.freeze()
        for each in asked[:_FIRST_BATCHES]:
            bind_batch(store, each)

        def bind() -> int:
            for each in asked[_FIRST_BATCHES:]:
                bind_batch(store, each)
            return batches * _BATCH

        yield bind


def _request(serial: int) -> BindRequest:
    a, b = party(2 * serial), party(2 * serial + 1)
    return make_request({"mode": Mode.AXB, "a": a, "b": b, "ttl": _DAY})


def bind_batch(store: BindingStore, requests: Sequence[BindRequest]) -> None:
    """
    What /v1 does with a batch, without what it reads and answers.
    """
    with Queries(store.connection).transaction():
        store.hold_together(requests)
        asked = [(each, NumberPolicy()) for each in requests]
        made = store.make_together(asked, default_ttl=_DAY)
        for place, request in enumerate(requests):
            if place not in made:
                store.make(request, default_ttl=_DAY)


@contextmanager
def copier(
    dsn: str, pieces: Sequence[Mapping[str, bytes]], form: CopyForm
) -> Iterator[Callable[[], int]]:
    """One client, who copies batches: see :mod:`bench.crew`."""
    with connect(dsn) as connection:
        copy_in(connection, pieces[:_FIRST_BATCHES], form)

        def copy() -> int:
            copy_in(connection, pieces[_FIRST_BATCHES:], form)
            return _BATCH * len(pieces[_FIRST_BATCHES:])

        yield copy


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run api", description=ABOUT)
    parser.add_argument("--quick", action="store_true", help="to see that it works")
    parser.add_argument(
        "--untold", action="store_true", help="for tenants that no events are written for"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    args.rounds, args.seconds = (1, 2) if args.quick else (5, 8)
    return args


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    rounds: list[dict[str, float]] = []
    try:
        with Server("18", durable=True) as server:
            bench = Bench(server, work, told=not args.untold)
            for number in range(1, args.rounds + 1):
                one: dict[str, float] = {}
                raw = (bench.raw, bench.raw_together)
                ways = (bench.store, bench.rest, bench.ruled, bench.alibaba)
                for side in (*raw, *ways, bench.batches, bench.store_batches):
                    one |= side(args.seconds)
                one["batch_vs_copy"] = one["batch_per_second"] / one["copy_by_1_per_second"]
                for name in ("store", "rest", "alibaba"):
                    for raw_name in ("raw", "raw_together"):
                        ratio = one[f"{name}_per_second"] / one[f"{raw_name}_per_second"]
                        one[f"{name}_vs_{raw_name}"] = ratio
                for ruled, free in (("ruled", "rest"), ("ruled_batch", "batch")):
                    ratio = one[f"{ruled}_per_second"] / one[f"{free}_per_second"]
                    one[f"{ruled}_vs_{free}"] = ratio
                rounds.append(one)
                say(f"round {number}: {one['raw_per_second']:.0f}/s raw")
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work)
    result = {name: [one[name] for one in rounds] for name in sorted(rounds[0])}
    print("| what | median | min | max |\n| --- | --: | --: | --: |")
    for name, values in result.items():
        shown = " | ".join(f"{each:,.3g}" for each in (median(values), min(values), max(values)))
        print(f"| {name.replace('_vs_', ' ÷ ').replace('_', ' ')} | {shown} |")
    print(f"\ncores {os.cpu_count()} · postgresql 18 · python {platform.python_version()}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
