"""
``agi-router leaktest --messages``: whether a number or a name gets through a door for texts.
"""

import asyncio
import os
import re
import secrets
import socket
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import click

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Messages
from agi_router.cli.output import echo, echo_json, echo_table
from agi_router.cli.stores import open_store
from agi_router.errors import LeakTestError
from agi_router.leaktest.carrier import Address
from agi_router.leaktest.centre import Centre, centre
from agi_router.leaktest.leaks import find_leaks, mask
from agi_router.leaktest.link_texts import run_link_texts, wait_until
from agi_router.leaktest.link_vectors import LINK_VECTORS
from agi_router.leaktest.text_vectors import NAME, TEXT_VECTORS
from agi_router.leaktest.texts import TextPair, TextResult, run_texts
from agi_router.messages.records import LinkRecords
from agi_router.numbers import PhoneNumber
from agi_router.settings import Settings

__all__ = ["LIFE", "ORDER", "tell_texts", "try_texts"]

LIFE: Final = timedelta(hours=1)
"""Should the program be killed, its bindings die by themselves after this."""
ORDER: Final = "leaktest"
"""The order of these bindings."""
# The program, however it was installed.
_PROGRAM: Final = (
    *(sys.executable, "-P", "-c"),
    "from agi_router.cli import main; main()",
)
# What a link of a test is called.
_LINK: Final = re.compile("leaktest-[0-9a-f]{8}")
# Seconds until the door of the test's own is bound, and until it has ended.
_BINDS: Final = 20.0
_ENDS: Final = 45.0


def try_texts(
    settings: Settings,
    numbers: Sequence[PhoneNumber],
    names: Sequence[str],
    *,
    tenant: str,
    door: tuple[Address, Address, Address] | None,
    as_json: bool,
) -> int:
    """
    Try a door for texts, and tell what came of it.

    Args:
        settings: The operator's.
        numbers: Nobody's, to play with.
        names: Of vectors; all, where there are none.
        tenant: Whose bindings are made.
        door: Where the door for SIP takes texts, where they come from, and where it sends them;
            :obj:`None`: a door for SMPP of one's own.
        as_json: For programs.

    Returns:
        The exit code.

    Raises:
        LeakTestError: An address cannot be had, or the door does not serve.
    """
    vectors = _choose(names, LINK_VECTORS if door is None else tuple(TEXT_VECTORS))
    with open_store(settings) as store, _pairs(store, numbers, tenant) as pairs:
        if door is None:
            found = _try_link(store, vectors, pairs)
        else:
            pbx, near, far = door
            found = asyncio.run(run_texts(vectors, pairs, door=pbx, near=near, far=far))
    tell_texts(found, as_json=as_json)
    return int(any(each.findings or each.fault for each in found))


def _choose(names: Sequence[str], there: Sequence[str]) -> Sequence[str]:
    """The vectors of these names, or all."""
    if unknown := [name for name in names if name not in there]:
        raise click.UsageError(f"no vector {unknown[0]!r}; there are: {', '.join(there)}")
    return names or there


def _try_link(
    store: BindingStore, vectors: Sequence[str], pairs: Sequence[TextPair]
) -> list[TextResult]:
    """
    Let a door serve a link of the test's own, and try that.

    What comes by a link goes out by it: so no text of others passes, and none goes elsewhere.
    """
    link = f"leaktest-{secrets.token_hex(4)}"
    links = LinkRecords(store.connection)
    # Of a test that was killed.
    for each in links.links():
        if _LINK.fullmatch(each["name"]) and not each["held"]:
            links.forget(each["name"])

    async def run(work: Path) -> list[TextResult]:
        async with centre() as made, _serving(link, made, work) as door:
            found = await run_link_texts(vectors, pairs, made)
            metrics = await asyncio.to_thread(door.metrics)
        told = {"metrics of the door": metrics, "log of the door": door.log.read_bytes()}
        return found + [_search(what, data, pairs) for what, data in told.items()]

    with tempfile.TemporaryDirectory(prefix="agi-router-leaktest-") as work:
        try:
            return asyncio.run(run(Path(work)))
        finally:
            links.forget(link)


@dataclass(frozen=True, slots=True)
class _Door:
    """
    A door of the test's own.
    """

    log: Path
    metrics_address: str

    def metrics(self) -> bytes:
        """
        What it tells whoever watches it.
        """
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10) as told:
            metrics: bytes = told.read()
        return metrics


@asynccontextmanager
async def _serving(link: str, made: Centre, work: Path) -> AsyncIterator[_Door]:
    """
    A door with the settings of the link that is set here, bound to a message centre of ours.

    Raises:
        LeakTestError: It does not serve.
    """
    door = _Door(work / "log", f"127.0.0.1:{_free_port()}")
    password = work / "password"
    password.touch(mode=0o600)
    password.write_text("leaktest\n", "ascii")
    settings = {
        "SMPP_LINK": link,
        "SMPP_HOST": "127.0.0.1",
        "SMPP_PORT": str(made.port),
        "SMPP_SYSTEM_ID": "leaktest",
        "SMPP_PASSWORD_FILE": str(password),
        "SMPP_TLS": "off",
        "METRICS_LISTEN": door.metrics_address,
        # A few senders write often.
        "MESSAGE_LIMIT_SENDER": "off",
        "MESSAGE_LIMIT_NUMBER": "off",
        "MESSAGE_LIMIT_TENANT": "off",
    }
    with door.log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *_PROGRAM,
            *("serve", "--door", "smpp", "--trial"),
            env=os.environ | {f"AGI_ROUTER_{name}": value for name, value in settings.items()},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    ended = asyncio.create_task(process.wait())
    bound = asyncio.create_task(wait_until(made, lambda: made.is_bound, _BINDS))
    try:
        await asyncio.wait({ended, bound}, return_when="FIRST_COMPLETED")
        if not made.is_bound:
            lines = door.log.read_text("utf-8", "replace").splitlines() or ["it says nothing"]
            raise LeakTestError(f"the door for texts does not serve: {mask(lines[-1])}")
        yield door
    finally:
        bound.cancel()
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait({ended}, timeout=_ENDS)
        if not ended.done():
            process.kill()
            await ended


def _free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _search(what: str, data: bytes, pairs: Sequence[TextPair]) -> TextResult:
    """Search what tells of all texts for all parties."""
    numbers = [party.digits for pair in pairs for party in (pair.a, pair.b)]
    findings = tuple(map(str, find_leaks(data, numbers=numbers, names=[NAME])))
    return TextResult(vector=what, sender=None, findings=findings)


def tell_texts(found: Sequence[TextResult], *, as_json: bool) -> None:
    """
    Tell what came of texts; numbers in it are masked.
    """
    if as_json:
        bad = [each for each in found if each.findings or each.fault]
        told = [
            {
                "vector": each.vector,
                "sender": None if each.sender is None else each.sender.value,
                "findings": list(each.findings),
                "fault": each.fault or None,
            }
            for each in found
        ]
        echo_json({"ok": not bad, "texts": told})
        return
    echo_table(
        ("vector", "sender", "matches", "what is wrong"),
        [
            (
                each.vector,
                "" if each.sender is None else each.sender.value,
                len(each.findings),
                each.fault or each.findings[0],
            )
            for each in found
            if each.findings or each.fault
        ],
        empty="nothing leaked",
    )
    texts = sum(each.sender is not None for each in found)
    matches = sum(len(each.findings) for each in found)
    faults = sum(bool(each.fault) for each in found)
    echo(f"texts {texts}, matches {matches}, faults {faults}")


@contextmanager
def _pairs(
    store: BindingStore, numbers: Sequence[PhoneNumber], tenant: str
) -> Iterator[list[TextPair]]:
    """Pairs who may text each other for the time of a block."""
    made: list[Binding] = []
    terms = Terms(
        expires_at=store.now() + LIFE,
        tenant=tenant,
        order_id=ORDER,
        messages=Messages.BOTH,
        max_messages=1000,
    )
    try:
        pairs = []
        for a, b in zip(numbers[::2], numbers[1::2], strict=False):
            binding = store.bind(Axb(a=a, b=b), terms)
            made.append(binding)
            [x] = {party.dials for party in binding.parties if party.dials is not None}
            pairs.append(TextPair(a=a, b=b, x=x))
        yield pairs
    finally:
        for binding in made:
            store.unbind(binding.id)
