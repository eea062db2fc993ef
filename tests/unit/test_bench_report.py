"""The benchmark's arithmetic: what counts, what is compared with what, and the goals."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import pytest
from bench.clean_rate import Search
from bench.numbers import bindings, random_calls
from bench.report import GOALS, Result, Sample
from bench.variants import PREFIX, Variant, bench_dialplan


def sample(variant: Variant, number: int, cpu: Sequence[float], **changes: object) -> Sample:
    """A clean round of 1,000 calls; *cpu* is milliseconds per call of the three servers."""
    values: dict[str, object] = {
        "variant": variant,
        "round": number,
        "asked": 200,
        "calls": 1000,
        "seconds": 6.0,
        "cpu": dict(zip(("asterisk", "router", "postgres"), cpu, strict=True)),
        "out": (0.001,) * 1000,
        "delays": (0.002,) * 1000,
        "rate": 200.0,
        **changes,
    }
    return Sample(**values)  # type: ignore[arg-type]


def result(*samples: Sample, **parts: object) -> Result:
    variants = list(dict.fromkeys(one.variant for one in samples))
    return Result(about={}, rate=200, variants=variants, samples=samples, parts=parts)


def test_a_variant_is_charged_with_the_servers_it_needs() -> None:
    costs = (4.0, 1.0, 0.5)
    sums = {variant: sample(variant, 1, costs).sum_ms for variant in Variant}
    assert sums[Variant.STATIC] == sums[Variant.STOCK] == 4.0
    assert sums[Variant.ODBC] == sums[Variant.ODBC_CDR] == 4.5
    assert sums[Variant.JOURNAL] == sums[Variant.FASTAGI] == sums[Variant.ROUTERS] == 5.5


def test_ratios_are_taken_within_a_round_before_the_median() -> None:
    # The third round was slow for both: 30 ÷ 20, and no median of sums would give 1.5.
    ours = [sample(Variant.JOURNAL, n, (cpu, 0, 0)) for n, cpu in ((1, 5), (2, 8), (3, 30))]
    static = [sample(Variant.STATIC, n, (cpu, 9, 9)) for n, cpu in ((1, 4), (2, 4), (3, 20))]
    assert result(*ours, *static).to_json()["cpu_vs_static"] == 1.5


def test_a_void_round_never_counts_and_neither_does_its_partner() -> None:
    run = result(
        sample(Variant.STATIC, 1, (4, 0, 0)),
        sample(Variant.STATIC, 2, (1, 0, 0), faults=("disturbed: 1 message",)),
        sample(Variant.JOURNAL, 1, (5, 0, 0)),
        sample(Variant.JOURNAL, 2, (9, 0, 0)),
    )
    found = run.to_json()
    assert found["cpu_vs_static"] == 1.25
    assert found["variants"]["static"]["rounds"] == 1
    assert [one["round"] for one in found["void"]] == [2]
    # It was disturbed, no call failed.
    assert not run.failed


def test_calls_that_failed_twice_fail_the_run_and_once_do_not() -> None:
    static = sample(Variant.STATIC, 1, (4, 0, 0))
    broken = sample(Variant.STATIC, 2, (4, 0, 0), faults=("1 calls failed",))
    assert result(static, broken, broken).failed
    assert not result(static, broken, sample(Variant.STATIC, 2, (4, 0, 0))).failed


def test_a_rate_beyond_the_machine_does_not_fail_the_run() -> None:
    broken = {"asked": 300, "faults": ("1 calls failed",)}
    run = result(
        sample(Variant.STATIC, 1, (4, 0, 0)), sample(Variant.STATIC, 1, (4, 0, 0), **broken)
    )
    assert not run.failed
    assert run.to_json()["sweep"]["300"]["static"]["rounds"] == 0


def test_goals_are_those_of_the_main_rate() -> None:
    run = result(
        sample(Variant.STATIC, 1, (4, 0, 0)),
        sample(Variant.JOURNAL, 1, (5, 0, 0)),
        sample(Variant.STATIC, 1, (4, 0, 0), asked=100),
        sample(Variant.JOURNAL, 1, (8, 0, 0), asked=100),
    )
    found = run.to_json()
    assert found["cpu_vs_static"] == 1.25
    assert found["sweep"]["100"]["journal"]["cpu_vs_static"] == 2.0


def test_added_delay_is_the_difference_of_percentiles_within_a_round() -> None:
    # Of 1,000 calls the 99th percentile is the 990th: eleven slow ones move it, ten do not.
    slow = (0.004,) * 989 + (0.012,) * 11
    run = result(
        sample(Variant.STATIC, 1, (4, 0, 0)), sample(Variant.JOURNAL, 1, (4, 0, 0), delays=slow)
    )
    found = run.to_json()
    assert found["pdd_added_p50_ms"] == 2.0
    assert found["pdd_added_p99_ms"] == 10.0


def test_every_goal_is_in_the_json_and_told_met_missed_or_not_measured() -> None:
    run = result(
        sample(Variant.STATIC, 1, (4, 0, 0)),
        sample(Variant.STOCK, 1, (5, 0, 0)),
        sample(Variant.JOURNAL, 1, (5, 0, 0)),
        router_rss_mb=61.0,
    )
    found = run.to_json()
    assert {goal.name for goal in GOALS} <= found.keys()
    assert found["clean_rate_vs_static"] is None
    lines = run.to_markdown().splitlines()
    verdicts = {line.split(" | ")[0].strip("| "): line for line in lines}
    assert verdicts["cpu_vs_static"].endswith("| met |")
    assert verdicts["cpu_vs_stock"].endswith("| met |")
    assert verdicts["router_rss_mb"].endswith("| missed |")
    assert verdicts["cpu_vs_odbc_cdr"].endswith("| not measured |")


def test_below_a_goal_and_at_it_are_not_the_same() -> None:
    limits = {goal.name: goal for goal in GOALS}
    assert limits["cpu_vs_stock"].met(1.0)
    assert not limits["cpu_vs_odbc_cdr"].met(1.0)
    assert limits["clean_rate_vs_static"].met(0.85)
    assert not limits["clean_rate_vs_static"].met(0.849)


@pytest.mark.parametrize("knee", [1, 73, 199, 200, 201, 433, 5000])
def test_the_search_ends_within_a_twentieth_below_the_knee(knee: int) -> None:
    search = Search(200)
    tries = 0
    while (rate := search.rate) is not None:
        search.tell(clean=rate <= knee)
        tries += 1
    assert search.clean <= knee
    assert knee - search.clean <= max(1, 0.05 * search.clean)
    assert tries < 20


def test_nothing_clean_at_all_ends_too() -> None:
    search = Search(200)
    while search.rate is not None:
        search.tell(clean=False)
    assert search.clean == 0


def test_no_two_bindings_and_no_two_calls_share_a_number() -> None:
    made = list(bindings(25_000))
    for side in ("a", "b", "x"):
        assert len({getattr(one, side) for one in made}) == len(made)
    calls = random_calls(5000, out_of=25_000, seed=1)
    assert len({call.dialled for call in calls}) == len({call.callee for call in calls}) == 5000
    # The line that dials statically rings 139 and the last eight digits dialled.
    assert len({call.dialled[-8:] for call in calls}) == 5000
    assert {call.caller[:3] for call in calls} == {"138", "139"}


def test_the_dialplan_of_the_bench_is_made_of_the_shipped_one() -> None:
    """Whoever changes the one hears that the other knows another form of it."""
    shipped = files("agi_router.dialplan").joinpath("agi_router.conf").read_text("utf-8")
    made = bench_dialplan(shipped)
    assert all(f"exten => _{prefix}700" in made for prefix in filter(None, PREFIX.values()))
