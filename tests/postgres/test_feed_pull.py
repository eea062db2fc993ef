"""Feeds that are asked for by HTTP: what comes is done once, and only whole."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import BindingState
from agi_router.db.connection import Connection, Queries
from agi_router.errors import CsvError, FeedInvalid, FeedUnreachable
from agi_router.feeds.download import Limits, download
from agi_router.feeds.model import Feed, FeedKind, NumberForm, PullState, Trust
from agi_router.feeds.pull_store import PullStore
from agi_router.feeds.puller import Puller
from agi_router.feeds.recycler import Recycler
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import Cipher, KeyRing
from agi_router.tenants.model import UnknownNumbers
from harness.cli import Done, run
from harness.database import bind, one
from harness.receiver import Received, Receiver, Reply
from harness.values import BLOCK, A, B, C, D

SECRET = "Bearer s3cret-of-the-carrier"
HEADER = b"number,status,date\n"
LOOPBACK = ("127.0.0.1",)


class Cli(Protocol):
    """A command, with more settings and what stands on its standard input."""

    def __call__(self, *arguments: str, typed: str = "", **more: str) -> Done: ...


class Pulled:
    """A feed, and what asks its address."""

    def __init__(self, connection: Connection, store: BindingStore) -> None:
        self.recycler = Recycler(connection, store.keys)
        self.pulls = PullStore(Queries(connection), store.keys)

    def add(self, url: str, *, secret: str | None = None) -> Feed:
        feed = self.recycler.store.add(
            "telecom",
            kind=FeedKind.PULL,
            path=url,
            numbers=NumberForm.PLAIN,
            trust=Trust.FULL,
            every=timedelta(hours=1),
        )
        self.pulls.authorize(feed, secret)
        return self.feed

    @property
    def feed(self) -> Feed:
        return self.recycler.store.find("telecom")

    def pull(
        self, *, allowed: Sequence[str] = LOOPBACK, limits: Limits | None = None
    ) -> list[int]:
        """Pull once; the runs."""
        puller = Puller(self.recycler, self.pulls, allowed=allowed, limits=limits or Limits())
        return list(puller.pull(self.feed))


@pytest.fixture
def pulled(connection: Connection, store: BindingStore) -> Pulled:
    """Nothing yet."""
    return Pulled(connection, store)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The address."""
    with Receiver() as serving:
        yield serving


@contextmanager
def dripping() -> Iterator[str]:
    """The address of a server that ends the connection with its answer, and the answer never."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer, suppress(OSError):
                peer.recv(65536)
                peer.sendall(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 999\r\n\r\n"
                )
                while not over.wait(0.05):
                    peer.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


def _ask(url: str, limits: Limits) -> None:
    with download(url, PullState(), authorization=None, allowed=LOOPBACK, limits=limits):
        pass


def record(store: BindingStore, digits: str, status: str = "reissued") -> bytes:
    return f"{digits},{status},{store.now().isoformat()}\n".encode()


def test_what_is_new_is_done_once(
    connection: Connection, store: BindingStore, pulled: Pulled, receiver: Receiver
) -> None:
    """With its authorization and the last ETag; 304 is no run; the secret survives rotation."""
    made = bind(store)
    content = HEADER + record(store, B.digits)

    def answer(request: Received) -> Reply:
        if request.headers.get("if-none-match") == '"1"':
            return Reply(304)
        return Reply(200, {"etag": '"1"', "last-modified": "yesterday"}, content)

    receiver.answer = answer
    assert pulled.add(receiver.url, secret=SECRET).due
    assert len(pulled.pull()) == 1
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED
    assert pulled.pull() == []
    first, second = receiver.received
    assert first.headers["authorization"] == second.headers["authorization"] == SECRET
    assert "if-none-match" not in first.headers
    assert second.headers["if-modified-since"] == "yesterday"
    assert second.path == "/hooks?of=shop"
    feed = pulled.feed
    assert (feed.authorized, feed.due, feed.overdue, feed.failure) == (True, False, False, None)
    assert len(pulled.recycler.store.runs("telecom", limit=9)) == 1
    # Sealed, and for this feed alone.
    assert pulled.pulls.authorization(feed) == SECRET
    assert pulled.pulls.renew() == 0
    other = KeyRing.parse(store.keys.to_text(), cipher=Cipher.SM4_GCM)
    renewed = PullStore(Queries(connection), other)
    counted = "SELECT agi_router.seals_so_far()"
    seals = one(connection, counted)
    assert [renewed.renew(), renewed.renew()] == [1, 0]
    assert renewed.authorization(feed) == SECRET
    pulled.pulls.authorize(feed, SECRET)
    assert one(connection, counted) == seals + 2
    pulled.pulls.authorize(feed, None)
    assert not pulled.feed.authorized
    assert one(connection, counted) == seals + 2


def test_pages(store: BindingStore, pulled: Pulled, receiver: Receiver) -> None:
    """Each answer names where the next begins; a crash in between does nothing twice."""
    ones = [bind(store), bind(store, C, D, x=BLOCK.number(2))]
    pages = {
        "": (record(store, B.digits), "2 b"),
        "2%20b": (record(store, D.digits), "3"),
        "3": (b"", "3"),
    }

    def answer(request: Received) -> Reply:
        content, cursor = pages[request.path.partition("after=")[2]]
        return Reply(200, {"Feed-Cursor": cursor}, HEADER + content)

    receiver.answer = answer
    feed = pulled.add(receiver.url.partition("?")[0] + "?after={cursor}")
    puller = Puller(pulled.recycler, pulled.pulls, allowed=LOOPBACK)
    # As one that is killed when the first file is done.
    broken = puller.pull(feed)
    first = next(broken)
    broken.close()
    assert pulled.pulls.state(feed) == PullState()
    assert len(pulled.pull()) == 3
    assert len({first, *(row["id"] for row in pulled.recycler.store.runs(limit=9))}) == 3
    assert pulled.pulls.state(feed).cursor == "3"
    assert [store.find(each.id).state for each in ones] == [BindingState.PARTY_RECYCLED] * 2


def test_each_page_is_read(store: BindingStore, pulled: Pulled, receiver: Receiver) -> None:
    """Whatever those before it were: of the same time, without a readable record, the same."""
    made = bind(store)
    store.inventory.tenants.set_unknown_numbers("default", UnknownNumbers.HOLD)
    unknown, kept = (f"{B.digits},{each},\n".encode() for each in ("unknown", "kept"))
    pages = {"": unknown, "2": b"5,no,\n", "3": kept, "4": unknown, "5": b""}
    names = list(pages)

    def answer(request: Received) -> Reply:
        if "if-modified-since" in request.headers:
            return Reply(304)
        cursor = request.path.partition("after=")[2]
        after = (*names, "5")[names.index(cursor) + 1]
        told = {"last-modified": "yesterday", "Feed-Cursor": after}
        return Reply(200, told, HEADER + pages[cursor])

    receiver.answer = answer
    feed = pulled.add(receiver.url.partition("?")[0] + "?after={cursor}")
    with pytest.raises(FeedInvalid, match="no record of it") as raised:
        pulled.pull()
    assert [each.path.partition("after=")[2] for each in receiver.received] == names
    # As the same was said before, and taken back.
    assert store.find(made.id).state is BindingState.HELD
    failed = pulled.feed
    assert failed.failure == str(raised.value)
    assert pulled.pull() == []
    assert pulled.feed.failure is None
    assert pulled.pulls.state(feed) == PullState(modified="yesterday", cursor="5")


@pytest.mark.parametrize("cursor", ["c" * 1025, "\xe9"])
def test_a_cursor_that_cannot_be_sent(pulled: Pulled, receiver: Receiver, cursor: str) -> None:
    """It is no end of the pages."""
    receiver.answer = lambda _: Reply(200, {"Feed-Cursor": cursor}, HEADER)
    pulled.add(receiver.url.partition("?")[0] + "?after={cursor}")
    with pytest.raises(FeedUnreachable, match="its Feed-Cursor has"):
        pulled.pull()


def _length(content: bytes, told: int) -> Reply:
    head = f"HTTP/1.0 200 OK\r\nContent-Length: {told}\r\n\r\n".encode()
    return Reply(raw=head + content)


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        # With the whole record in it, so that something could be done.
        (lambda rows: _length(rows, len(rows) + 1), FeedUnreachable, "cut off"),
        (lambda rows: Reply(raw=b"HTTP/1.0 200 OK\r\n\r\n" + rows), FeedUnreachable, "its length"),
        (lambda rows: Reply(raw=b"nonsense\r\n" + rows), FeedUnreachable, "cannot be reached"),
        (lambda _: Reply(302, {"location": "http://127.0.0.1/"}), FeedUnreachable, "redirects"),
        (lambda rows: Reply(500, None, rows), FeedUnreachable, "it answered 500"),
        (lambda rows: Reply(200, {"content-encoding": "gzip"}, rows), FeedUnreachable, "compress"),
        (lambda rows: Reply(200, None, rows + b"\n" * 3000), FeedUnreachable, "more than 2,000"),
        (lambda _: Reply(200, None, b"<html>no</html>"), CsvError, "a web page"),
        (lambda _: Reply(200, None, b'{"error": "try later"}'), FeedInvalid, "no record of it"),
    ],
)
def test_what_is_no_whole_file(
    store: BindingStore,
    pulled: Pulled,
    receiver: Receiver,
    answer: Callable[[bytes], Reply],
    error: type[Exception],
    told: str,
) -> None:
    """Nothing of it is done; why is kept, and the next pull asks again and does it."""
    made = bind(store)
    rows = HEADER + record(store, A.digits)
    receiver.answer = lambda _: answer(rows)
    pulled.add(receiver.url)
    limits = Limits(size=2000)
    with pytest.raises(error, match=told):
        pulled.pull(limits=limits)
    assert store.find(made.id).state is BindingState.ACTIVE
    feed = pulled.feed
    assert told in str(feed.failure)
    assert feed.due
    receiver.answer = lambda _: Reply(200, None, rows)
    assert len(pulled.pull(limits=limits)) == 1
    assert pulled.feed.failure is None
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED


def test_who_is_not_asked(pulled: Pulled, receiver: Receiver) -> None:
    """What is not public or not https, and whoever takes too long."""
    pulled.add(receiver.url)
    with pytest.raises(FeedUnreachable, match="is not https"):
        pulled.pull(allowed=())
    assert receiver.received == []
    over = threading.Event()
    receiver.answer = lambda _: Reply(204) if over.wait(30) else Reply(500)
    try:
        with pytest.raises(FeedUnreachable, match="took too long"):
            pulled.pull(limits=Limits(whole=0.1))
    finally:
        over.set()
    receiver.answer = lambda _: Reply(204)
    assert pulled.pull() == []
    with dripping() as url, pytest.raises(FeedUnreachable, match="took too long"):
        _ask(url, Limits(whole=0.2))
    for host in ("carrier..example", "a" * 70 + ".example"):
        with pytest.raises(FeedUnreachable, match="no address"):
            _ask(f"https://{host}/x", Limits())
    other = pulled.recycler.store.add(
        "b", kind=FeedKind.STDIN, path=None, numbers=NumberForm.PLAIN, trust=Trust.FULL
    )
    puller = Puller(pulled.recycler, pulled.pulls, allowed=LOOPBACK)
    with pytest.raises(FeedInvalid, match="of the kind stdin, and not pulled"):
        list(puller.pull(other))


@pytest.fixture
def cli(dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this database."""
    key_file = tmp_path / "key"
    write_key_ring(key_file, keys)

    def call(*arguments: str, typed: str = "", **more: str) -> Done:
        env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(key_file), **more}
        return run(arguments, env, typed=typed)

    return call


def test_commands(cli: Cli, store: BindingStore, receiver: Receiver) -> None:
    """As an operator does it: the secret by standard input alone, and the timer's pull."""
    made = bind(store)
    receiver.answer = lambda _: Reply(200, {"etag": "1"}, HEADER + record(store, B.digits))
    more = {"AGI_ROUTER_WEBHOOK_HOSTS": "127.0.0.1"}
    add = ("feed", "add", "telecom", "--kind", "pull", "--every", "1h", "--path", receiver.url)
    assert cli(*add).code == 65
    assert cli(*add, "--authorization", SECRET, **more).code == 2
    done = cli(*add, "--authorization", "-", "--json", typed=f"{SECRET}\n", **more)
    assert done.code == 0, done.err
    assert '"authorized": true' in done.out
    done = cli("feed", "run", "telecom", **more)
    assert (done.code, "'agi-router feed pull' asks its address" in done.err) == (65, True)
    done = cli("feed", "pull", "--json", **more)
    assert done.code == 0, done.err
    assert '"ended": 1' in done.out
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED
    assert receiver.received[0].headers["authorization"] == SECRET
    assert cli("feed", "authorize", "telecom", **more).code == 0
    receiver.answer = lambda _: Reply(503)
    # It is not due, but may be named.
    assert cli("feed", "pull", **more).out == "nothing new\n"
    done = cli("feed", "pull", "telecom", **more)
    assert done.code == 69
    assert "it answered 503" in done.err
    assert "authorization" not in receiver.received[-1].headers
    assert SECRET not in done.out + done.err


def test_one_keeps_no_other(
    cli: Cli,
    connection: Connection,
    store: BindingStore,
    pulled: Pulled,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    """Whatever fails of it, and that is noted; one whose secret is not sealed is not added."""
    receiver.answer = lambda _: Reply(200, None, HEADER + record(store, B.digits))
    made = bind(store)
    pulled.add(receiver.url)
    more = {"AGI_ROUTER_WEBHOOK_HOSTS": "127.0.0.1"}
    add = ("feed", "add", "--kind", "pull", "--every", "1h", "--path", receiver.url)
    assert cli(*add, "a", "--authorization", "-", typed=f"{SECRET}\n", **more).code == 0
    connection.execute(
        "UPDATE agi_router.feed_pull SET sealed = overlay(sealed PLACING '\\x00' FROM 20)"
        " WHERE sealed IS NOT NULL"
    )
    done = cli("feed", "pull", **more)
    assert done.code == 70, done.err
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED
    assert pulled.recycler.store.find("a").failure
    # Under keys that are not those of this database.
    write_key_ring(tmp_path / "other", KeyRing.generate())
    more["AGI_ROUTER_KEY_FILE"] = str(tmp_path / "other")
    assert cli(*add, "b", "--authorization", "-", typed=f"{SECRET}\n", **more).code == 78
    assert {each.name for each in pulled.recycler.store.all()} == {"a", "telecom"}


def test_a_folder_is_watched(cli: Cli, store: BindingStore, tmp_path: Path) -> None:
    """The timer reads what has come since it looked; what cannot be read is tried again."""
    folder = tmp_path / "recycled"
    folder.mkdir()
    made, other = bind(store), bind(store, C, D, x=None)
    assert cli("feed", "add", "sharing", "--kind", "folder", "--path", str(folder)).code == 0
    late = tmp_path / "late.csv"
    assert cli("feed", "add", "late", "--kind", "file", "--path", str(late)).code == 0
    done = cli("feed", "pull")
    assert done.out == "nothing new\n", done.err
    (folder / "1.csv").write_bytes(HEADER + record(store, B.digits))
    done = cli("feed", "pull", "--json")
    assert (done.code, done.out.count('"ended": 1')) == (0, 1), done.err
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED
    looked = "UPDATE agi_router.feed_pull SET pulled_at = now() + interval '2 h'"
    store.connection.execute(looked.encode())
    (folder / "2.csv").write_bytes(HEADER + record(store, D.digits))
    assert cli("feed", "pull").out == "nothing new\n"
    store.connection.execute(b"UPDATE agi_router.feed_pull SET pulled_at = now()")
    (folder / "3.csv").write_bytes(b"no,header\n")
    for _ in range(2):
        done = cli("feed", "pull")
        assert (done.code, "3.csv: " in done.err) == (65, True)
    assert store.find(other.id).state is BindingState.PARTY_RECYCLED
    rows = {row["name"]: row for row in cli("feed", "list", "--json").json}
    assert (rows["late"]["failure"], "cannot be read" in rows["sharing"]["failure"]) == (
        None,
        True,
    )
    (folder / "3.csv").unlink()
    late.write_bytes(HEADER)
    assert cli("feed", "pull").code == 0
    assert cli("feed", "remove", "late", "--json").json["name"] == "late"
