"""SMPP with a message centre and a client that nobody of us wrote."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path

import pytest

from agi_router.service.message_server import link_options_of
from agi_router.settings import Settings
from agi_router.smpp import (
    Address,
    BindRefused,
    LinkDown,
    Part,
    Patience,
    Receipt,
    ReceiptState,
    ShortMessage,
    Splitting,
    Status,
    Transceiver,
    decode,
    is_receipt,
    join,
    messages_of,
    part_of,
    read_receipt,
)
from harness import values
from harness.free_port import free_port

HERE = Path(__file__).parent
INSTALLED = Path(os.environ["PBX_CLIENTS"])
PERSON, X = Address(number=values.A.digits), Address(number=values.X.digits)
# As many are under way at once as a long text takes.
WINDOW = 20
PATIENCE = 60
TEXTS = [
    "at the gate [3] {€}",
    "a" * 160,
    "€" * 200,
    "Δ_Φ ñ ü",
    "门口见",
    "你好😀" * 60,
    "ç",
]


class Mailbox:
    """What came to one session."""

    def __init__(self) -> None:
        self._come: asyncio.Queue[ShortMessage] = asyncio.Queue()

    async def take(self, message: ShortMessage) -> int:
        """Take a message."""
        self._come.put_nowait(message)
        return Status.OK

    async def message(self) -> ShortMessage:
        """Wait for the next one."""
        async with asyncio.timeout(PATIENCE):
            return await self._come.get()

    async def texts_and_receipts(
        self, parts: int, receipts: int
    ) -> tuple[list[Part], list[Receipt]]:
        """Wait until so many have come."""
        texts: list[Part] = []
        told: list[Receipt] = []
        async with asyncio.timeout(PATIENCE):
            while len(texts) < parts or len(told) < receipts:
                message = await self._come.get()
                if is_receipt(message):
                    receipt = read_receipt(message)
                    assert receipt is not None
                    told.append(receipt)
                else:
                    texts.append(part_of(message))
        return texts, told


@asynccontextmanager
async def running(*command: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that is spoken to by lines; it ends when nobody speaks any more."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(INSTALLED / "node_modules")},
    )
    try:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Library(StrEnum):
    """By whose library a message centre is made."""

    NPM = "npm"
    SMPP34 = "smpp34"


@asynccontextmanager
async def centre(
    *certificate: Path,
    accounts: tuple[str, str] = ("phone", "router"),
    library: Library = Library.NPM,
) -> AsyncIterator[int]:
    """
    The message centre of a library: what one account sends goes to the other.

    Args:
        certificate: For TLS, its key and itself; npm's has that.
        accounts: The accounts.
        library: The library.
    """
    command: tuple[str | Path, ...] = ("node", HERE / "smsc.js", *accounts, *certificate)
    if library is Library.SMPP34:
        program = HERE / "smpp34_centre.py"
        command = (INSTALLED / "venv/bin/python", program, str(free_port()), *accounts)
    async with running(*command) as process:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            port = json.loads(await process.stdout.readline())["port"]
        yield port


@asynccontextmanager
async def session(port: int, name: str, box: Mailbox) -> AsyncIterator[Transceiver]:
    async with Transceiver.bound(
        "127.0.0.1", port, system_id=name, password="secret", deliver=box.take, window=WINDOW
    ) as link:
        yield link


def read(parts: Sequence[Part]) -> str:
    """The text of some parts."""
    assert {each.total for each in parts} == {len(parts)}
    return decode(join(parts), parts[0].data_coding)


@pytest.mark.parametrize("library", Library)
async def test_texts_both_ways(library: Library) -> None:
    """In every coding, however they are cut; each part has its receipt."""
    near, far = Mailbox(), Mailbox()
    async with (
        centre(library=library) as port,
        session(port, "phone", near) as phone,
        session(port, "router", far) as router,
    ):
        for number, text in enumerate(TEXTS):
            for splitting in Splitting:
                for link, own, other in ((phone, near, far), (router, far, near)):
                    sent = messages_of(
                        text,
                        source=PERSON if link is phone else X,
                        destination=X if link is phone else PERSON,
                        reference=number,
                        splitting=splitting,
                    )
                    ids = await asyncio.gather(*map(link.submit, sent))
                    parts, _ = await other.texts_and_receipts(len(sent), 0)
                    assert read(parts) == text, splitting
                    _, receipts = await own.texts_and_receipts(0, len(sent))
                    assert sorted(each.message_id for each in receipts) == sorted(ids)
                    assert {each.state for each in receipts} == {ReceiptState.DELIVERED}


async def test_a_wrong_password() -> None:
    """It is refused, and the session is not up."""
    async with centre() as port:
        with pytest.raises(BindRefused) as caught:
            async with Transceiver.bound(
                "127.0.0.1", port, system_id="phone", password="wrong", deliver=Mailbox().take
            ):
                pass
    assert caught.value.status == 0x0E


async def test_tls(tmp_path: Path) -> None:
    """As it is set: a certificate of whom we trust, and of that host; and nothing in clear."""
    key, password = tmp_path / "key.pem", tmp_path / "password"
    password.write_text("secret")
    password.chmod(0o600)

    def certificate(name: str) -> Path:
        made = tmp_path / f"{name.replace(':', '-')}.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=centre"),
                *("-keyout", key, "-out", made, "-addext", f"subjectAltName={name}"),
            ],
            check=True,
            capture_output=True,
        )
        return made

    async def bound(port: int, tls: str | Path) -> bool:
        environment = {
            "AGI_ROUTER_SMPP_HOST": "127.0.0.1",
            "AGI_ROUTER_SMPP_SYSTEM_ID": "router",
            "AGI_ROUTER_SMPP_PASSWORD_FILE": str(password),
            "AGI_ROUTER_SMPP_TLS": str(tls),
        }
        options = link_options_of(Settings.from_env(environment))
        async with Transceiver.bound(
            "127.0.0.1",
            port,
            system_id=options.system_id,
            password=options.password,
            deliver=Mailbox().take,
            tls=options.tls,
            patience=Patience(bind=5),
        ) as link:
            return link.is_up

    other = certificate("DNS:other.example")
    async with centre(key, other) as port:
        with pytest.raises(LinkDown, match="no connection"):
            await bound(port, other)
    own = certificate("IP:127.0.0.1")
    async with centre(key, own) as port:
        assert await bound(port, own)
        for wrong in (other, "on", "off"):
            with pytest.raises(LinkDown):
                await bound(port, wrong)


async def test_texts_of_smpplib() -> None:
    """It parts surrogates; joined before they are decoded they are whole again."""
    far = Mailbox()
    python = INSTALLED / "venv/bin/python"
    async with (
        centre() as port,
        session(port, "router", far),
        running(python, HERE / "smpplib_client.py", str(port), PERSON.number, X.number) as client,
    ):
        assert client.stdin is not None
        assert client.stdout is not None
        for text in TEXTS:
            client.stdin.write(json.dumps(text).encode() + b"\n")
            async with asyncio.timeout(PATIENCE):
                ids = json.loads(await client.stdout.readline())
            parts, _ = await far.texts_and_receipts(len(ids), 0)
            assert read(parts) == text
