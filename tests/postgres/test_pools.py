"""Pools in files and on the command line: numbers of their blocks, their defaults, their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgres.test_import import Importing

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Language
from agi_router.errors import NoNumberAvailable
from agi_router.inventory.model import BlockState
from agi_router.keys.file import write_key_ring
from agi_router.numbers import Block
from harness.cli import run
from harness.database import HOUR
from harness.values import BLOCK, A, B, C, D, X

OTHER = Block.parse("70022345678")


def test_a_file(store: BindingStore, dsn: str) -> None:
    """Its rows name pools: numbers are of them, whether they are loaded together or searched."""
    store.inventory.add_block(OTHER, operator=None, certificate=None)
    store.pools.add("default", "FC1001", blocks=(OTHER,), language=Language.EN)
    importing = Importing(dsn, store.keys)
    rows = [
        "mode,order,a,b,x,pool",
        f"axb,A-1,{A.digits},{B.digits},,FC1001",
        f"axb,A-2,{C.digits},{D.digits},,",
        f"axb,A-3,{A.digits},{C.digits},{X},FC1001",
        f"axb,A-4,{A.digits},{D.digits},,FC1002",
        f"ax,A-5,{A.digits},,,FC1001",
        "",
    ]
    tally = importing("\n".join(rows), keep_going=True)
    assert (tally.bound, tally.rejected) == (3, 2)
    assert importing.faults == [
        (4, f"x: block {BLOCK} is not of pool FC1001"),
        (5, "the tenant has no pool of this name"),
    ]
    found = store.bindings(everything=True, order_id=None, limit=9)
    made = {each.order_id: each for each in found}
    for order in ("A-1", "A-5"):
        assert (made[order].pool, made[order].language) == ("FC1001", Language.EN)
        assert made[order].id.block == OTHER
    assert made["A-2"].pool is None
    again = importing("\n".join(rows[:3]))
    assert (again.bound, again.there) == (0, 2)


def test_a_full_pool_is_not_left(store: BindingStore) -> None:
    """Where its blocks take nothing, no other is taken: the error counts those outside."""
    store.inventory.add_block(OTHER, operator=None, certificate=None)
    store.pools.add("default", "FC1001", operator_digit=3)
    store.pools.add("default", "FC1002", blocks=(OTHER,))
    store.inventory.set_block_state(OTHER, BlockState.DRAINING)
    for pool, words in (("FC1001", "another operator digit"), ("FC1002", "outside the pool")):
        terms = Terms(expires_at=store.now() + HOUR, pool=pool)
        with pytest.raises(NoNumberAvailable, match=words):
            store.bind(Axb(a=A, b=B), terms)


def test_the_command_line(store: BindingStore, dsn: str, tmp_path: Path) -> None:
    """Added, bound in, listed, shown with its blocks, changed, removed."""
    file = tmp_path / "key"
    write_key_ring(file, store.keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)}
    store.inventory.add_block(OTHER, operator=None, certificate=None)
    mine = ["--mode", "gxb", "--callback", "last", "--window", "30m"]
    made = run(["pool", "add", "FC1001", "--block", str(OTHER), *mine, "--json"], env).json
    assert (made["blocks"], made["window"], made["version"]) == ([str(OTHER)], 1800, 1)
    assert run(["pool", "add", "FC1001"], env).code == 73
    parties = ["--members", A.digits, "--b", B.digits, "--pool", "FC1001"]
    bound = run(["bind", "gxb", *parties, "--json"], env).json
    assert (bound["pool"], bound["callback"], bound["window"]) == ("FC1001", "last", 1800)
    assert bound["x"].startswith(str(OTHER))
    wrong = run(["bind", "axb", "--a", C.digits, "--b", D.digits, "--pool", "FC1001"], env)
    assert (wrong.code, "takes bindings by gxb alone" in wrong.error) == (2, True)
    assert [each["name"] for each in run(["pool", "list", "--json"], env).json] == ["FC1001"]
    (capacity,) = run(["pool", "show", "FC1001", "--json"], env).json["capacity"]
    assert (capacity["block"], capacity["bound"]) == (str(OTHER), 1)
    assert str(OTHER) in run(["pool", "show", "FC1001"], env).out
    change = ["--callback", "all", "--unset", "window", "--unset", "block"]
    changed = run(["pool", "change", "FC1001", *change, "--json"], env).json
    assert (changed["callback"], changed["window"], changed["blocks"]) == ("all", None, [])
    assert run(["pool", "change", "FC1001"], env).code == 2
    both = run(["pool", "change", "FC1001", "--callback", "all", "--unset", "callback"], env)
    assert (both.code, "--unset callback goes without --callback" in both.error) == (2, True)
    assert run(["pool", "list", "--tenant", "nobody"], env).code == 66
    assert run(["pool", "remove", "FC1001"], env).code == 0
    assert run(["pool", "show", "FC1001"], env).code == 66
    assert len(run(["pool", "--json"], env).json) == 2
