"""Hours of the week in the database: as the rules have them, and by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.calls.decision import Refusal, Route
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.errors import OperatorOnly, RequestInvalid
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.rates import Rate
from agi_router.tenants.call_rates import CallRates
from agi_router.tenants.hours import WEEK, Hours, check_hours
from harness.cli import run
from harness.database import a_call, admit_as_router, bind, new_call_id, on_each_version
from harness.pbx import Cli
from harness.values import A

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
clocks = st.integers(0, 1439).map(lambda each: f"{each // 60:02}:{each % 60:02}")
windows = st.tuples(
    st.sampled_from(["", *DAYS, *(f"{a}-{b}" for a in DAYS for b in DAYS)]), clocks, clocks
).filter(lambda each: each[1] != each[2])
hours = st.lists(
    windows.map(lambda each: f"{each[0]} {each[1]}-{each[2]}"), min_size=1, max_size=3
)


@on_each_version
@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(said=hours, minutes=st.lists(st.integers(0, WEEK - 1), min_size=1, max_size=50))
def test_the_database_reads_them_alike(
    said: Sequence[str], minutes: list[int], connection: Connection
) -> None:
    """Each minute of the week."""
    kept = check_hours("; ".join(said))
    rows = connection.execute(
        "SELECT agi_router.is_open(%s, 'Asia/Shanghai', timestamptz '2023-12-31 16:00+00'"
        " + m.minute * interval '1 minute' + interval '59 seconds') AS open"
        " FROM unnest(%s::integer[]) m (minute)",
        (kept, minutes),
    ).fetchall()
    read = Hours.parse(kept)
    assert [row["open"] for row in rows] == [read.holds(each) for each in minutes]


async def test_a_call_outside_of_hours(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """Those of the binding, else of its tenant; changed, they hold at the next call."""

    async def hears() -> Reason | None:
        _, decision = await admit_as_router(admissions, a_call(A), new_call_id())
        assert isinstance(decision, Refusal | Route)
        return decision.reason if isinstance(decision, Refusal) else None

    row = connection.execute("SELECT agi_router.minute_of_week('UTC', now()) AS now").fetchone()
    assert row is not None
    # Of another day: no call of this test comes then.
    never = f"{DAYS[(row['now'] // 1440 + 3) % 7]} 09:00-10:00"
    made = bind(store)
    tenants = store.inventory.tenants
    tenants.set_hours("default", never)
    assert await hears() is Reason.OUTSIDE_HOURS
    store.change(made.id, hours="00:00-24:00")
    assert await hears() is None
    store.change(made.id, hours=never)
    tenants.set_hours("default", None)
    assert await hears() is Reason.OUTSIDE_HOURS
    store.change(made.id, hours=None)
    assert await hears() is None
    assert store.find(made.id).hours is None


async def test_a_route_has_the_limits_of_its_tenant(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """And whose it is."""
    bind(store)
    rates = CallRates(caller=Rate(30, timedelta(hours=1)))
    tenants = store.inventory.tenants
    for given_rates, told in ((rates, rates), (CallRates(), None)):
        tenants.set_call_rates("default", given_rates)
        _, decision = await admit_as_router(admissions, a_call(A), new_call_id())
        assert isinstance(decision, Route)
        assert decision.call_rates == told
        assert decision.tenant_id == tenants.find_id("default")
    own = store.within(tenants.scope("default")).inventory.tenants
    refusals: list[Callable[[], object]] = [
        lambda: own.set_call_rates("default", rates),
        lambda: own.set_notice("default", notice=False),
        lambda: own.set_hours("default", None),
        lambda: own.set_time_zone("default", "UTC"),
    ]
    for refused in refusals:
        with pytest.raises(OperatorOnly):
            refused()
    with pytest.raises(RequestInvalid):
        tenants.set_time_zone("default", "Mars/Olympus")


async def test_a_route_has_the_notice_of_its_tenant(
    store: BindingStore, admissions: AdmissionStore, dsn: str
) -> None:
    """It is on unless it was turned off; a call that is asked about again has it as well."""
    bind(store)
    for shown, notice in ((None, True), ("off", False), ("on", True)):
        if shown is not None:
            cli = Cli({"AGI_ROUTER_DSN": dsn})
            assert cli("tenant", "notice", "default", shown)["notice"] is notice
            assert cli("audit", "list")[0]["subject"] == f"tenant default: notice {shown}"
        call_id = new_call_id()
        for _ in range(2):
            _, decision = await admit_as_router(admissions, a_call(A), call_id)
            assert isinstance(decision, Route)
            assert decision.notice is notice


def test_by_hand(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> None:
    """Hours, time zone and limits; explain shows what each router counts."""
    file = tmp_path / "keys"
    write_key_ring(file, keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)}
    cli = Cli(env)
    made = cli("tenant", "hours", "default", "MON-FRI 09:00-18:00", "--zone", "Asia/Urumqi")
    assert (made["hours"], made["time_zone"]) == ("mon-fri 09:00-18:00", "Asia/Urumqi")
    assert cli("tenant", "hours", "default", "always")["hours"] is None
    cli("tenant", "calls", "default", "--caller", "30/1h", "--all", "100/1s")
    made = cli("tenant", "calls", "default", "--all", "none", "--number", "5/1m")
    assert made["call_limits"] == {"caller": "30/1h", "number": "5/1m"}
    x = str(bind(store).parties[0].dials)
    explain = ["explain", "--from", "-", "--to", x]
    told = run(explain, {**env, "AGI_ROUTER_CALL_LIMIT_CALLEE": "9/1h"}, typed=f"{A.digits}\n").out
    for limit in ("all tenants: callee 9/1h", "the tenant: caller 30/1h"):
        assert f"counted by each router: {limit}" in told
    for wrong in (["hours", "default"], ["hours", "default", "9-5"], ["calls", "default"]):
        assert run(["tenant", *wrong], env).code == 2
