"""
What a text by SMPP costs the door and PostgreSQL, as a ratio to kannel passing the same on.

`tests/bench/run texts`: texts come by `deliver_sm` at a rate, and leave by `submit_sm`. One round
of the door and one of kannel take turns. kannel stores nothing before it answers, the door does.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.db.connection import connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.smpp import Address, ShortMessage, Status
from harness.database import NEWEST, NO_REST, Server, bind, until_async
from harness.free_port import free_port
from harness.smsc import Centre, centre
from harness.values import BLOCK, A

# Flushes of the disk that are timed before each round.
_FLUSHES = 100
_PAGE = 8192
# Seconds after which a text is offered again that was not taken.
_AGAIN = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")
_PROGRAM = str(Path(sys.executable).with_name("agi-router"))
_KANNEL = """\
group = core
admin-port = {admin}
admin-password = bench
smsbox-port = {box}
log-file = "{log}"
log-level = 4

# It asks for one, and none is started.
group = smsbox
bearerbox-host = 127.0.0.1

group = smsc
smsc = smpp
smsc-id = in
host = 127.0.0.1
port = {inward}
transceiver-mode = true
smsc-username = bench
smsc-password = bench
system-type = ""
max-pending-submits = 100
reroute-smsc-id = out

group = smsc
smsc = smpp
smsc-id = out
host = 127.0.0.1
port = {outward}
transceiver-mode = true
smsc-username = bench
smsc-password = bench
system-type = ""
max-pending-submits = 100
"""


def cpu_of(root: int) -> float:
    """CPU seconds of a process and all below it, those that ended too."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            pid = int(stat.parent.name)
            parents[pid] = int(fields[1])
            seconds[pid] = sum(map(int, fields[11:15])) / _TICKS
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(seconds.get(pid, 0.0) for pid in below)


async def run(
    inward: Centre, outward: Centre, *, rate: int, texts: int, to: Sequence[str]
) -> list[float]:
    """Send texts at a rate; how long each took until it left, in milliseconds."""
    begun: dict[str, float] = {}
    took: list[float] = []

    def submitted(message: ShortMessage, _: int) -> int:
        took.append(1000 * (time.monotonic() - begun[message.payload.decode()]))
        return Status.OK

    # kannel chooses by which of its links it sends.
    inward.status = outward.status = submitted
    outward.submitted.clear()

    async def send(number: int) -> None:
        body = f"text {number}"
        begun[body] = time.monotonic()
        message = ShortMessage(
            source=Address(number=A.digits),
            destination=Address(number=to[number % len(to)]),
            octets=body.encode(),
        )
        while await inward.deliver(message) != Status.OK:  # noqa: ASYNC110
            # As message centres do; else what is too much becomes more and more.
            await asyncio.sleep(_AGAIN)

    start = time.monotonic()
    sending = []
    for number in range(texts):
        if (wait := start + number / rate - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        sending.append(asyncio.create_task(send(number)))
    await asyncio.gather(*sending)
    await until_async(lambda: len(took) >= texts)
    return took


async def refused(smsc: Centre, *, rate: int, to: Sequence[str]) -> list[float]:
    """Send texts for a second while nothing is stored; how long each answer took, in ms."""
    took: list[float] = []
    # Some are stored when it goes on.
    smsc.status = lambda _, __: Status.OK

    async def send(number: int) -> None:
        message = ShortMessage(
            source=Address(number=A.digits),
            destination=Address(number=to[number % len(to)]),
            octets=f"frozen {number}".encode(),
        )
        begun = time.monotonic()
        status = await smsc.deliver(message)
        took.append(1000 * (time.monotonic() - begun))
        assert status in {Status.TEMPORARY, Status.THROTTLED}

    async with asyncio.TaskGroup() as group:
        start = time.monotonic()
        for number in range(rate):
            group.create_task(send(number))
            await asyncio.sleep(max(0, start + number / rate - time.monotonic()))
    return took


@contextlib.asynccontextmanager
async def program(
    *command: str, environment: dict[str, str], session: bool = False
) -> AsyncIterator[int]:
    """A process, for the time of a block; in a session of its own if it is to have one."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=None,
        start_new_session=session,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


def flushes(folder: Path) -> list[float]:
    """Milliseconds that flushes of a page take on the disk where commits are flushed."""
    took = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            file.write(bytes(_PAGE))
            begun = time.monotonic()
            os.fdatasync(file.fileno())
            took.append(1000 * (time.monotonic() - begun))
    return took


def kannel_of_debian() -> tuple[str, dict[str, str]]:
    """The program that the tests use, too, which is not installed; and its environment."""
    program = Path(os.environ["PBX_KANNEL"])
    libraries = map(str, program.parents[2].glob("**/*-linux-gnu"))
    return str(program), {"LD_LIBRARY_PATH": ":".join(libraries)}


def write_password(file: Path) -> None:
    """That of the link."""
    file.write_text("bench\n")
    file.chmod(0o600)


def link_settings(password: Path) -> dict[str, str]:
    """With which the door serves a link that holds nobody up; its port is missing."""
    return {
        "AGI_ROUTER_METRICS_LISTEN": "off",
        "AGI_ROUTER_SMPP_HOST": "127.0.0.1",
        "AGI_ROUTER_SMPP_SYSTEM_ID": "bench",
        "AGI_ROUTER_SMPP_PASSWORD_FILE": str(password),
        "AGI_ROUTER_SMPP_RATE": "10000",
        "AGI_ROUTER_SMPP_WINDOW": "100",
        "AGI_ROUTER_MESSAGE_LIMIT_SENDER": "off",
        "AGI_ROUTER_MESSAGE_LIMIT_NUMBER": "off",
        "AGI_ROUTER_LOG_LEVEL": "WARNING",
    }


def bind_pairs(store: BindingStore) -> list[str]:
    """Bind 200 pairs who may text each other, in a block of their own; their 700 numbers."""
    store.inventory.add_block(BLOCK, operator=None, certificate=None)
    numbers = [BLOCK.number(10 + place) for place in range(200)]
    for number in numbers:
        bind(store, x=number, messages=Messages.BOTH)
    return list(map(str, numbers))


async def measure(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds of CPU a text of both, by round, and delays."""
    found: dict[str, list[float]] = {
        name: []
        for name in (
            "door",
            "postgres",
            "kannel",
            "p50",
            "p99",
            "k50",
            "k99",
            "all",
            "flush",
            "frozen",
        )
    }
    bearerbox, libraries = kannel_of_debian()
    with (
        tempfile.TemporaryDirectory() as home,
        Server(NEWEST, durable=not arguments.memory) as server,
    ):
        dsn = server.clone()
        key, password = Path(home) / "key", Path(home) / "password"
        write_password(password)
        ring = KeyRing.generate()
        write_key_ring(key, ring)
        with connect(dsn) as connection:
            store = BindingStore(connection, check_keys(connection, ring), NO_REST)
            # Texts of several pairs, as in service: one binding's texts wait for each other.
            numbers = bind_pairs(store)
        environment = {
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(key),
            **link_settings(password),
        }
        async with centre() as own, centre() as inward, centre() as outward:
            configuration = Path(home) / "kannel.conf"
            configuration.write_text(
                _KANNEL.format(
                    admin=free_port(),
                    box=free_port(),
                    log=f"{home}/kannel.log",
                    inward=inward.port,
                    outward=outward.port,
                )
            )
            environment["AGI_ROUTER_SMPP_PORT"] = str(own.port)
            async with (
                program(_PROGRAM, "serve", "--door", "smpp", environment=environment) as door,
                program(bearerbox, "-v", "4", str(configuration), environment=libraries) as kannel,
            ):
                await own.bound()
                await inward.bound()
                await outward.bound()
                postgres = server.pid
                quantity = {"rate": arguments.rate, "texts": arguments.texts, "to": numbers}
                await run(own, own, rate=100, texts=100, to=numbers)
                await run(inward, outward, rate=100, texts=100, to=numbers)
                for _ in range(arguments.rounds):
                    found["flush"] += flushes(server.data)
                    own_before, before = cpu_of(door), cpu_of(postgres)
                    took = await run(own, own, **quantity)
                    found["door"].append(1000 * (cpu_of(door) - own_before) / arguments.texts)
                    found["postgres"].append(1000 * (cpu_of(postgres) - before) / arguments.texts)
                    found["all"] += took
                    cuts = statistics.quantiles(took, n=100)
                    found["p50"].append(cuts[49])
                    found["p99"].append(cuts[98])
                    before = cpu_of(kannel)
                    took = await run(inward, outward, **quantity)
                    found["kannel"].append(1000 * (cpu_of(kannel) - before) / arguments.texts)
                    cuts = statistics.quantiles(took, n=100)
                    found["k50"].append(cuts[49])
                    found["k99"].append(cuts[98])
                server.freeze()
                try:
                    found["frozen"] = await refused(own, rate=arguments.rate, to=numbers)
                finally:
                    server.thaw()
    return found


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="tests/bench/run texts", description=__doc__)
    parser.add_argument("--rate", type=int, default=500, help="texts per second; default 500")
    parser.add_argument("--texts", type=int, default=2500, help="per round; default 2500")
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument(
        "--memory",
        action="store_true",
        help="PostgreSQL in memory, without flushes: on a disk that others write to, too, what is"
        " measured else is how long a flush takes",
    )
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments))
    middle = {name: statistics.median(values) for name, values in found.items()}
    both = [d + p for d, p in zip(found["door"], found["postgres"], strict=True)]
    ratio = statistics.median(b / k for b, k in zip(both, found["kannel"], strict=True))
    print(f"| at {arguments.rate} texts/s | CPU a text | p50 | p99 |\n|---|---|---|---|")
    for what, cpu, p50, p99 in (
        ("door", "door", "p50", "p99"),
        ("PostgreSQL", "postgres", "", ""),
        ("kannel", "kannel", "k50", "k99"),
    ):
        delays = f"{middle[p50]:.1f} ms | {middle[p99]:.1f} ms" if p50 else "|"
        print(f"| {what} | {middle[cpu]:.3f} ms | {delays} |")
    print(f"| ratio | {ratio:.1f} | | |")
    every, flush = (statistics.quantiles(found[name], n=100) for name in ("all", "flush"))
    print(
        f"\nThe door's p99 by round: {', '.join(f'{each:.1f}' for each in found['p99'])} ms; of"
        f" all {len(found['all'])} texts p50 {every[49]:.1f}, p99 {every[98]:.1f} ms. A flush of"
        f" the disk took p50 {flush[49]:.1f}, p99 {flush[98]:.1f} ms. The machine's load was"
        f" {os.getloadavg()[0]:.1f} at the end."
    )
    frozen = statistics.quantiles(found["frozen"], n=100)
    print(
        f"\nWith PostgreSQL frozen {len(found['frozen'])} texts were refused: half within"
        f" {frozen[49]:.0f} ms, the last within {max(found['frozen']):.0f} ms."
    )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
