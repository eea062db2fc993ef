"""What a pool takes, and what it says where a binding does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.pools import Pool, check_pool_values
from agi_router.bindings.requests import make_request
from agi_router.bindings.words import Callback, Language, Mode, check_pool
from agi_router.bulk.columns import Header
from agi_router.errors import BlockNotFound, RequestInvalid
from agi_router.numbers import Block
from harness.values import A, B, C

MINE, OTHER = Block.parse("70012345678"), Block.parse("70022345678")
HALF = timedelta(minutes=30)
POOL = Pool(
    id=7,
    tenant="couriers",
    name="FC1001",
    blocks=(),
    operator_digit=None,
    mode=None,
    callback=None,
    window=None,
    language=None,
    prompts=None,
    created_at=datetime(2026, 1, 31, tzinfo=UTC),
    version=1,
)


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, {MINE, OTHER}),
        ({"blocks": (MINE,)}, {MINE}),
        ({"operator_digit": 2}, {OTHER}),
        ({"operator_digit": 2, "blocks": (MINE,)}, set()),
    ],
)
def test_the_numbers_of_a_pool(changes: dict[str, Any], taken: set[Block]) -> None:
    """Those of its blocks that have its digit; those given have to be of it."""
    pool = replace(POOL, **changes)
    assert {block for block in (MINE, OTHER) if pool.takes(block)} == taken
    pool.check_numbers([None, *(block.number(1) for block in taken)])
    for block in {MINE, OTHER} - taken:
        with pytest.raises(BlockNotFound, match="is not of pool FC1001"):
            pool.check_numbers([block.number(1)])


def test_a_choice_is_narrowed() -> None:
    """To its blocks and its digit; one that asks for another digit cannot be met."""
    asked = NumberPolicy(same_x=Affinity.PREFER)
    pool = replace(POOL, blocks=(OTHER,), operator_digit=2)
    narrowed = NumberPolicy(same_x=Affinity.PREFER, operator_digit=2, blocks=(OTHER,))
    assert pool.narrow(asked) == narrowed
    assert pool.narrow(replace(asked, operator_digit=2)) == narrowed
    assert POOL.narrow(replace(asked, operator_digit=1)).operator_digit == 1
    with pytest.raises(RequestInvalid, match="2 after 700 alone"):
        pool.narrow(replace(asked, operator_digit=1))


def test_what_is_not_said_is_as_in_the_pool() -> None:
    """And what is said is as it was said."""
    pool = replace(
        POOL,
        mode=Mode.GXB,
        callback=Callback.LAST,
        window=HALF,
        language=Language.EN,
        prompts="rides",
    )
    said = {"members": (A, C), "b": B, "pool": "FC1001"}
    assert pool.fill(said) == {
        **said,
        "mode": Mode.GXB,
        "callback": Callback.LAST,
        "window": HALF,
        "language": Language.EN,
        "prompts": "rides",
    }
    request = make_request(pool.fill({**said, "callback": Callback.ALL, "prompts": "own"}))
    assert (request.parties.callback, request.parties.window) == (Callback.ALL, None)
    assert (request.terms["prompts"], request.terms["pool"]) == ("own", "FC1001")


def test_what_a_mode_does_not_take_is_left_out() -> None:
    """A pair has no callback."""
    pool = replace(POOL, callback=Callback.LAST, window=HALF)
    said = {"mode": Mode.AXB, "a": A, "b": B}
    assert pool.fill(said) == said


def test_a_callback_that_a_mode_does_not_take_is_left_out() -> None:
    """AX calls back one number, so nobody is refused for what the pool has for groups."""
    pool = replace(POOL, callback=Callback.ALL)
    said = {"mode": Mode.AX, "a": A}
    assert pool.fill(said) == said
    pool = replace(POOL, callback=Callback.LAST, window=HALF)
    assert pool.fill(said) == {**said, "callback": Callback.LAST, "window": HALF}


def test_the_only_mode() -> None:
    """Another is refused; without one a binding has to say its own."""
    with pytest.raises(RequestInvalid, match="takes bindings by gxb alone"):
        replace(POOL, mode=Mode.GXB).fill({"mode": Mode.AXB})
    with pytest.raises(RequestInvalid, match="has no mode of its own"):
        POOL.fill({})


@pytest.mark.parametrize("text", ["", "1380000", "FC 1", "FC/1", "F" * 65, "池"])
def test_no_name(text: str) -> None:
    """A number is none: names stand in paths."""
    with pytest.raises(ValueError, match="begins with a letter"):
        check_pool(text)
    assert check_pool("FC1001.a-b_c") == "FC1001.a-b_c"


def test_a_row_of_a_file() -> None:
    """It is read with what its pool says; one that names none of its tenant is a fault."""
    pool = replace(POOL, mode=Mode.AXB, language=Language.EN)
    header = Header(
        ["mode", "a", "b", "order", "pool", "tenant"], pools={("couriers", "FC1001"): pool}
    )
    cells = ["axb", A.digits, B.digits, "O-1", "FC1001", "couriers"]
    found = header.read(cells)
    assert not isinstance(found, list)
    assert found is not None
    assert (found.terms["pool"], found.terms["language"]) == ("FC1001", Language.EN)
    for tenant in ("drivers", ""):
        faults = header.read([*cells[:-1], tenant])
        assert isinstance(faults, list)
        assert list(map(str, faults)) == ["the tenant has no pool of this name"]


def test_where_a_page_ends() -> None:
    assert POOL.cursor.name == "7"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, None),
        ({"callback": Callback.LAST, "window": timedelta(seconds=60)}, None),
        ({"callback": Callback.ALL, "window": timedelta(seconds=60)}, "window"),
        ({"window": timedelta(seconds=60)}, "window"),
        ({"mode": Mode.GXB, "callback": Callback.ALL}, None),
        ({"mode": Mode.AXB, "callback": Callback.DEFAULT}, "callback"),
        ({"mode": Mode.AX, "callback": Callback.ALL}, "callback"),
        ({"operator_digit": 1, "blocks": (MINE,)}, None),
        ({"operator_digit": 9, "blocks": (MINE,)}, "operator_digit"),
        ({"operator_digit": 9}, None),
    ],
)
def test_what_goes_together(values: dict[str, Any], wrong: str | None) -> None:
    """Else no binding could be made as the pool says."""
    nothing = {"callback": None, "mode": None, "operator_digit": None, "window": None}
    said = {**nothing, "blocks": (), **values}
    if wrong is None:
        check_pool_values(said)
    else:
        with pytest.raises(RequestInvalid) as raised:
            check_pool_values(said)
        assert raised.value.words[0] == wrong
