"""
Settlement on a real Asterisk: it alone can tell whether lines come; doors serve on without.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.pbx import STATE, Cli, Dialplan, Router
from testpbx.phones import Phones
from testpbx.state import ASTERISK_ACCOUNT, METRICS_PORTS, ROUTER_ACCOUNT
from testpbx.waiting import health_answers, until

# How many depends on whether a try before has left one.
_UNSEEN = ("settlement: ", " call(s) ended without a line")


@pytest.fixture
def journal(pbx: dict[str, Any]) -> Iterator[Path]:
    """The directory of the end journal, which is as it was again after the test."""
    path = Path(pbx["env"]["AGI_ROUTER_JOURNAL"])
    yield path
    os.chown(path, ROUTER_ACCOUNT, ASTERISK_ACCOUNT)
    path.chmod(0o3770)
    (path / "claimed/refused").unlink(missing_ok=True)
    shutil.rmtree(path / "ends", ignore_errors=True)


@pytest.fixture
def troubled(router: Router) -> Iterator[Router]:
    """A router whose settlement is in trouble after the test: the next one finds a new one."""
    yield router
    router.stop()


def says(*words: str, door: str = "ari") -> Callable[[], bool]:
    """Whether a router says that it is not ready, and why."""

    def said() -> bool:
        status, text = health_answers("/readyz", METRICS_PORTS[door])
        return status == 503 and all(each in text for each in words)

    return said


def ready(door: str = "ari") -> bool:
    """Whether a router says that it is ready."""
    return health_answers("/readyz", METRICS_PORTS[door]) == (200, "ok\n")


def doctor(cli: Cli) -> dict[str, tuple[str, str]]:
    """What the doctor says of each check."""
    told = json.loads(cli.doctor().out)["checks"]
    return {each["check"]: (each["status"], each["text"]) for each in told}


def make_directory(path: Path) -> None:
    """A directory that is not empty."""
    (path / "more").mkdir(parents=True)


def make_dangling_link(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to("/nowhere/at/all")


def make_link_to_the_key(path: Path) -> None:
    """A link to what the router may read and Asterisk may not."""
    path.symlink_to(STATE / "key")


def make_socket(path: Path) -> None:
    """A socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        # Its path is longer than an address may be.
        here = os.open(path.parent, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def test_what_lies_where_asterisk_writes(
    cli: Cli,
    phones: Phones,
    router: Router,
    fastagi: Router,
    dialplan: Dialplan,
    journal: Path,
    a: str,
    b: str,
) -> None:
    """A directory, a pipe, a socket or a link there: both doors serve on, and it is told."""
    x = cli.bind(a, b)["x"]
    assert until(lambda: ready() and ready("agi"), timeout=20)
    kinds: list[tuple[str, Callable[[Path], object]]] = [
        ("is a link", make_link_to_the_key),
        ("is a link", make_dangling_link),
        ("is not a regular file", os.mkfifo),
        ("is a socket", make_socket),
        ("is a directory: remove it", make_directory),
    ]
    for words, make in kinds:
        for door in (router, fastagi):
            # What went wrong before is over, for both: the same is told once.
            assert until(lambda: ready() and ready("agi"), timeout=30)
            assert until(lambda: not os.path.lexists(journal / "ends"), timeout=30)
            told = door.log.count(words)
            others = [each for each in (router, fastagi) if each is not door]
            # Neither of them may be the first to see it.
            with others[0].frozen():
                make(journal / "ends")
                assert until(lambda: door.log.count(words) > told, timeout=30)  # noqa: B023
            if words.endswith("remove it"):
                assert until(says("settle: ", words), timeout=30)
                shutil.rmtree(journal / "ends")
    assert phones.call(a, x).status == 200
    dialplan.enter_at("agi-router-in-fastagi")
    assert phones.call(a, x).status == 200
    for door in (router, fastagi):
        assert door.process is not None
        assert door.process.poll() is None
    assert [each["outcome"] for each in cli.records(x, 2)] == ["answered"] * 2
    assert until(lambda: ready() and ready("agi"), timeout=20)
    assert "SECRET" not in router.log
    assert not (journal / "claimed/unreadable").exists()


def test_asterisk_may_not_write(
    cli: Cli, phones: Phones, troubled: Router, journal: Path, a: str, b: str
) -> None:
    """The use of a call whose end nobody saw stays taken, and three say why."""
    assert until(ready, timeout=20)
    assert until(lambda: doctor(cli)["ends"][0] == "ok", timeout=30)
    binding = cli.bind(a, b, "--max-calls", "1")
    os.chown(journal, ROUTER_ACCOUNT, ROUTER_ACCOUNT)

    assert phones.call(a, binding["x"]).status == 200
    # It reconciles as soon as it is connected.
    troubled.stop()
    troubled.start()
    assert until(says(*_UNSEEN, "journal: "), timeout=30)
    again = phones.call(a, binding["x"])

    assert (again.status, again.invites) == (403, ())
    assert cli("show", binding["id"])["calls_used"] == 1
    status, text = doctor(cli)["ends"]
    assert status == "fail"
    assert text == (
        f"{journal}: Asterisk was asked for a line here, and none came: it may not write there,"
        " its disk is full, or /var/spool/agi-router, which AGI_ROUTER_JOURNAL names in"
        " the dialplan, is another directory"
    )
    _, metrics = health_answers("/metrics", METRICS_PORTS["ari"])
    assert re.search(r"(?m)^agi_router_calls_without_end_total [1-9]", metrics)
    assert 'agi_router_job_failures_total{job="journal"}' in metrics


@pytest.fixture
def disk(journal: Path, router: Router) -> Iterator[Path]:
    """The journal on a disk of its own, of 64 kB, and a router that has begun there."""
    router.stop()
    options = f"size=64k,mode=3770,uid={ROUTER_ACCOUNT},gid={ASTERISK_ACCOUNT}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "journal", str(journal)]
    subprocess.run(mount, check=True)
    try:
        router.start()
        assert until(ready, timeout=20)
        yield journal
    finally:
        try:
            router.stop()
        finally:
            # Asterisk has a file open there for moments.
            subprocess.run(["umount", "--lazy", str(journal)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room; what there is may be removed."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    assert os.statvfs(disk).f_bavail == 0
    return filler


def test_a_full_disk(
    cli: Cli, phones: Phones, troubled: Router, disk: Path, a: str, b: str
) -> None:
    """Calls go on, no use comes back by it, and three say why; with room all is well again."""
    binding = cli.bind(a, b, "--max-calls", "1")
    other = cli.bind(b, a)
    filler = fill(disk)

    assert phones.call(a, binding["x"]).status == 200
    troubled.stop()
    troubled.start()
    why = f"{disk}: Asterisk was asked for a line here, and none came: the disk is full"
    assert until(says(*_UNSEEN, f"journal: {why}"), timeout=30)
    assert until(lambda: doctor(cli)["ends"] == ("fail", why), timeout=30)
    assert phones.call(a, binding["x"]).status == 403
    assert cli("show", binding["id"])["calls_used"] == 1

    filler.unlink()
    assert until(lambda: doctor(cli)["ends"][0] == "ok", timeout=30)
    assert phones.call(b, other["x"]).status == 200
    assert cli.record(other["x"])["outcome"] == "answered"


def test_another_directory_than_the_dialplans(
    cli: Cli, router: Router, dialplan: Dialplan, journal: Path
) -> None:
    """What is written elsewhere never comes; the doctor names where."""
    assert router.registered()
    dialplan.set(AGI_ROUTER_JOURNAL="/tmp")  # noqa: S108 - of the root that Asterisk lives in
    status, text = doctor(cli)["ends"]
    assert status == "fail"
    assert "or /tmp, which AGI_ROUTER_JOURNAL names in the dialplan, is another" in text
    assert text.startswith(f"{journal}: ")
    dialplan.reset()
    dialplan.set(AGI_ROUTER_JOURNAL="/var/spool/agi-router")
    assert until(lambda: doctor(cli)["ends"][0] == "ok", timeout=30)


def test_an_unknown_end_that_is_given_back(
    cli: Cli, phones: Phones, router: Router, journal: Path, pbx: dict[str, Any], a: str, b: str
) -> None:
    """Where the operator would rather give too much than too little."""
    binding = cli.bind(a, b, "--max-calls", "1")
    os.chown(journal, ROUTER_ACCOUNT, ROUTER_ACCOUNT)
    assert phones.call(a, binding["x"]).status == 200
    router.stop()
    env = {**pbx["env"], "AGI_ROUTER_UNKNOWN_END": "given_back"}
    with Router(env, STATE / "logs/router.log").serving():
        assert until(lambda: cli("show", binding["id"])["calls_used"] == 0, timeout=30)
