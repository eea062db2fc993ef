"""
Attacks on a running test PBX, each by an account that has no right to what it is after.

The attackers have the letters of docs/security.md: L is any local account, A is the account of
Asterisk, D writes to the database and has no keys, M reaches the port of the metrics, P has the
ARI password, and O is an operator's slip.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attack.accounts import Account
from attack.others import Others

from harness.pbx import Cli
from harness.service import CallRecords, Router
from testpbx.state import AGI_PORT, ARI_PORT, HOST, METRICS_PORTS
from testpbx.waiting import until

Pairs = list[tuple[str, str]]
Database = psycopg.Connection[dict[str, Any]]

_HOLD = "SELECT FROM agi_router.binding WHERE block = %s AND id = ANY (%s) FOR NO KEY UPDATE"
_BINDINGS = """
SELECT r.binding_id
  FROM agi_router.route r
 WHERE r.block = %s AND r.x_number = ANY (%s) AND r.side = 'a'
 ORDER BY 1
"""
_DROP_DAY = """
DO $$ BEGIN
    EXECUTE format(
        'DROP TABLE agi_router.%I',
        (SELECT max(relname) FROM pg_class WHERE relkind = 'r' AND relname ~ '^call_[0-9]{8}$'));
END $$
"""
_SWAP = """
UPDATE agi_router.route r
   SET binding_id = o.binding_id
  FROM agi_router.route o
 WHERE r.side = 'b' AND r.x_number = ANY (%(x)s)
   AND o.side = 'b' AND o.x_number = ANY (%(x)s) AND o.x_number <> r.x_number
"""
_FORGET = "DELETE FROM agi_router.route WHERE block = %s AND binding_id = %s"


def used(database: Database, pairs: Pairs) -> int:
    """How many uses the bindings of some pairs have taken."""
    row = database.execute(
        "SELECT sum(b.calls_used) AS used FROM agi_router.binding b"
        " WHERE (b.block, b.id) IN (SELECT r.block, r.binding_id FROM agi_router.route r"
        " WHERE r.x_number = ANY (%s))",
        [[int(x) for _, x in pairs]],
    ).fetchone()
    assert row is not None
    return int(row["used"] or 0)


def callees(pairs: Pairs) -> list[str]:
    """Whom the numbers ring, which whoever attacks does not know."""
    return ["137" + caller[3:] for caller, _ in pairs]


def serves(router: Router) -> bool:
    """Whether a router lives and its door is open; one that has ended is not started again."""
    process = router.process
    assert process is not None
    assert until(lambda: process.poll() is not None or router.registered(), timeout=30)
    return process.poll() is None


def add_block(cli: Cli) -> str:
    """Add a block that was never there, not even in a try of the same test that failed."""
    there = {each["block"] for each in cli("block", "list")}
    block = next(each for each in map(str, range(70012340000, 70012350000)) if each not in there)
    cli("block", "add", block)
    return block


def rotate(cli: Cli) -> None:
    """Change the keys; rows that cannot be renewed make the command complain, which is right."""
    done = subprocess.run(
        ["agi-router", "key", "rotate"], env=cli.env, check=False, capture_output=True, text=True
    )
    assert "written with now" in done.stderr, done.stderr


def rings(cli: Cli, caller: str, x: str) -> bool:
    """Whether a call would be put through to anybody."""
    done = subprocess.run(
        ["agi-router", "explain", "--from", caller, "--to", x, "--json"],
        env=cli.env,
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode == 0 and json.loads(done.stdout)["verdict"] == "route"


@contextmanager
def restored(journal: Path) -> Iterator[None]:
    """Take out of the journal's directory afterwards whatever an attacker has put there."""
    before = set(journal.iterdir())
    try:
        yield
    finally:
        for each in set(journal.iterdir()) - before:
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink(missing_ok=True)


def as_account(account: Account, act: Any) -> None:
    """Do something in a child process that has an account's rights and no others."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            act()
        except OSError:
            os._exit(0)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


class TestJournal:
    """A puts files into the journal that are not what they seem."""

    def test_keys_stay_unread(
        self,
        others: Others,
        asterisk_account: Account,
        env: dict[str, str],
        secrets: list[str],
        router: Router,
        fastagi: Router,
    ) -> None:
        """Links to the key file and to the router's environment tell A nothing."""
        journal = Path(env["AGI_ROUTER_JOURNAL"])
        assert router.process is not None
        targets = [env["AGI_ROUTER_KEY_FILE"], f"/proc/{router.process.pid}/environ"]
        names = (
            "ends.{}.claimed",
            "ends.{}.0.claimed",
            "ends.unreadable",
            "ends",
            "claimed",
            "claimed/ends",
        )

        def links() -> None:
            for number, target in enumerate(targets):
                for name in names:
                    path = journal / name.format(number)
                    # The names that Asterisk itself writes to are its own to replace.
                    path.unlink(missing_ok=True)
                    path.symlink_to(target)

        with (
            restored(journal),
            others.calling(),
            asterisk_account.runs("reader", "6", str(journal)) as attack,
        ):
            for _ in range(5):
                as_account(asterisk_account, links)
                time.sleep(1)
            learnt = attack.learnt()
        read = [secret for secret in secrets if secret in learnt]
        others.judge("A: links in the journal", f"{len(read)} of {len(secrets)} secrets")
        assert not read
        assert serves(router)
        assert serves(fastagi)

    def test_what_is_no_file_ends_no_door(
        self,
        others: Others,
        asterisk_account: Account,
        env: dict[str, str],
        router: Router,
        fastagi: Router,
    ) -> None:
        """A directory, a pipe and a sparse giant where lines are expected: both doors serve on."""
        journal = Path(env["AGI_ROUTER_JOURNAL"])

        def litter() -> None:
            (journal / "ends.00000000000000000001.a.claimed").mkdir()
            os.mkfifo(journal / "ends.00000000000000000002.a.claimed")
            with (journal / "ends.00000000000000000003.a.claimed").open("wb") as giant:
                giant.truncate(10 << 30)

        def in_the_way() -> None:
            (journal / "ends").unlink(missing_ok=True)
            os.mkfifo(journal / "ends")

        with restored(journal), others.calling():
            as_account(asterisk_account, litter)
            time.sleep(3)
            as_account(asterisk_account, in_the_way)
            time.sleep(3)
            (journal / "ends").unlink(missing_ok=True)
            alive = serves(router), serves(fastagi)
        others.judge("A: a directory, a pipe and 10 GiB of nothing in the journal")
        assert alive == (True, True)


class TestDatabase:
    """O or D holds on to what calls need."""

    def test_a_dump_does_not_stop_calls(
        self, others: Others, cli: Cli, pbx: dict[str, Any], database: Database
    ) -> None:
        """While somebody reads calls for long, days are made and swept: nobody waits for it."""
        with others.calling(), psycopg.connect(pbx["dsn"]) as reader:
            # One day less than there should be, so that there is one to make.
            database.execute(_DROP_DAY.encode())
            reader.execute("SELECT count(*) FROM agi_router.call")
            for _ in range(3):
                cli("db", "migrate")
                cli("sweep")
                time.sleep(1)
        others.judge("O: a dump that goes on while a day's partition is made")

    @pytest.mark.parametrize("rows", [1, 5, 50])
    def test_held_rows_starve_nobody_else(
        self,
        others: Others,
        pairs: Pairs,
        records: CallRecords,
        pbx: dict[str, Any],
        rows: int,
    ) -> None:
        """Calls on bindings that somebody holds make no other call wait."""
        held = pairs[-rows:]
        assert records
        with others.calling(), psycopg.connect(pbx["dsn"]) as holder:
            ids = holder.execute(
                _BINDINGS, [int(held[0][1]) // 10000, [int(x) for _, x in held]]
            ).fetchall()
            assert len(ids) == rows
            holder.execute(_HOLD, [int(held[0][1]) // 10000, [id_ for (id_,) in ids]])
            with others.also(held, rate=10) as victims:
                time.sleep(6)
                own = victims.done(timeout=30)
        others.judge(f"O: {rows} bindings held, called ten times a second", f"held: {own}")
        assert not own.lost


class TestPorts:
    """L and M talk to what listens on loopback."""

    def test_fastagi_tells_nobody_anything(
        self, others: Others, local: Account, pairs: Pairs, database: Database
    ) -> None:
        """Whoever is not Asterisk is told no number, and takes no use."""
        targets = pairs[-50:]
        before = used(database, targets)
        guesses = [f"{caller}:{x}" for caller, x in targets]
        with (
            others.calling(),
            local.runs("fastagi_guesses", HOST, str(AGI_PORT), "6", *guesses) as attack,
        ):
            learnt = attack.learnt()
        told = [number for number in callees(targets) if number in learnt]
        others.judge(
            f"L: FastAGI, {learnt.rpartition('asked')[2].strip()} guesses", f"{len(told)} numbers"
        )
        assert "asked 0" not in learnt
        assert not told
        assert used(database, targets) == before

    def test_idle_connections_leave_fastagi_open(
        self, others: Others, local: Account, router: Router, fastagi: Router
    ) -> None:
        """With the ARI door closed, all calls come by FastAGI, past 400 silent connections."""
        with (
            local.runs("idle", HOST, str(AGI_PORT), "400", "14") as attack,
            others.calling(),
        ):
            router.terminate()
            time.sleep(6)
            attack.end()
        others.judge("L: 400 idle connections at FastAGI, which alone serves")
        assert serves(fastagi)

    def test_metrics_port_kills_nobody(
        self, others: Others, local: Account, router: Router, fastagi: Router
    ) -> None:
        """1,500 slow connections to each, with 1,024 descriptors: both doors serve on."""
        with others.calling(), ExitStack() as stack:
            attacks = [
                stack.enter_context(local.runs("trickle", HOST, str(port), "1500", "10"))
                for port in METRICS_PORTS.values()
            ]
            held = [attack.learnt().strip() for attack in attacks]
            alive = serves(router), serves(fastagi)
        others.judge("M: 1,500 slow connections to the metrics of each door", ", ".join(held))
        assert alive == (True, True)

    def test_idle_connections_at_ari_end_nothing(
        self, others: Others, local: Account, router: Router
    ) -> None:
        """All of ARI's sessions taken: the router that is connected serves on."""
        with others.calling(), local.runs("idle", HOST, str(ARI_PORT), "150", "6") as attack:
            attack.learnt()
            alive = serves(router)
        others.judge("L: 150 idle connections at ARI")
        assert alive


def test_rotation_makes_no_forged_row_valid(others: Others, cli: Cli, database: Database) -> None:
    """Two rows of side B, exchanged by D before a rotation, lead to nobody new after it."""
    parties = [("13890000001", "13890000002"), ("13890000003", "13890000004")]
    # Rows of two blocks cannot be exchanged, and there may be several.
    block = add_block(cli)
    bound = [
        cli.bind(a, b, "--ttl", "1h", "--x", f"{block}{serial:04}")
        for serial, (a, b) in enumerate(parties)
    ]
    x = [each["x"] for each in bound]
    database.execute(_SWAP, {"x": [int(each) for each in x]})
    try:
        with others.calling():
            rotate(cli)
        # What each may reach: whoever dialled it before.
        crossed = [(caller, x[other]) for other in (0, 1) for caller in parties[1 - other]]
        reached = [pair for pair in crossed if rings(cli, *pair)]
    finally:
        for each in bound:
            of, _, serial = each["id"].partition("-")
            database.execute(_FORGET, [int(of), int(serial)])
    others.judge(
        "D: two rows exchanged, then a rotation of keys", f"{len(reached)} cross-connected"
    )
    assert not reached


def test_router_keeps_its_name(
    others: Others, asterisk_account: Account, env: dict[str, str], router: Router
) -> None:
    """P connects under the router's name for half a second, twice: the router takes it back."""
    with (
        others.calling(),
        asterisk_account.runs(
            "ari_thief",
            HOST,
            str(ARI_PORT),
            "router",
            "agi_router",
            "0.5",
            "2",
            env={"PASSWORD": env["AGI_ROUTER_ARI_PASSWORD"]},
        ) as attack,
    ):
        learnt = attack.learnt()
        alive = serves(router)
        time.sleep(1)
    others.judge("P: half a second under the router's name", learnt.strip().replace("\n", ", "))
    assert "101" in learnt
    assert alive
