"""What a report says of searches under a cost: bounds that were kept or not, and what a larger weight did."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from reports.heeded import cost_notes
from reports.numbers import Number
from reports.statistics import kendall, spearman

UNIT = "ms (torch, batch 1, 1 thread, Fake CPU, cpu time)"


def search(row: str, cost: dict[str, Any], found: dict[str, Any], seed: int = 0) -> Any:
    """A row with one finished search, whose network has the row's and the seed's name."""
    info = SimpleNamespace(
        phase="search", method="darts", search_seed=seed, config={"method": "darts", "cost": cost, "search_seed": seed}
    )
    told = {"on": cost["on"], "unit": UNIT if cost["on"] == "latency_ms" else "MACs", **found}
    record = SimpleNamespace(info=info, result={"report": {"cost": told}, "architecture": f"{row}{seed}"})
    return SimpleNamespace(row=SimpleNamespace(name=row, method="darts", searches=[record]))


def table(*entries: Any, unit: str = UNIT, **measured: float) -> Any:
    """Args:
    measured: by digest of an architecture.
    """
    latency = Number("latency", f"measured latency, {unit}", ("measured", "ms"), "", unit, measured)
    return SimpleNamespace(entries=entries, numbers=[latency] if measured else [])


def weighed(row: str, weight: float, value: float, seed: int = 0, on: str = "latency_ms", **more: Any) -> Any:
    return search(row, {"on": on, "objective": "sum", "weight": weight, **more}, {"value": value}, seed)


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlations_are_scipys(ties: bool) -> None:
    rng = np.random.default_rng(0)
    for n in (3, 5, 12):
        x, y = rng.integers(0, 4, (2, n)).astype(float) if ties else rng.normal(size=(2, n))
        assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert kendall([1.0, 2.0], [3.0, 3.0]) is None
    assert spearman([1.0, 1.0], [3.0, 4.0]) is None


def test_a_bound_is_said_as_asked_predicted_and_measured() -> None:
    asked = {"on": "latency_ms", "objective": "multiplier"}
    entries = [
        search("a", asked, {"value": 4.9, "at_most": 5.0, "met": True}),
        search("b", asked, {"value": 4.5, "at_most": 5.0, "met": True, "held_out_error": 0.0721}),
        search("c", asked, {"value": 5.5, "at_most": 5.0, "met": False}),
        search("d", {"on": "macs"}, {"value": 300.0, "at_most": 300.0, "met": True}),
    ]
    assert cost_notes(table(*entries, a0=5.25, b0=4.6)) == [
        "a: at most 5 of latency_ms asked, 4.9 predicted (kept), 5.25 measured: not kept, 5.0 % above as measured",
        "b: at most 5 of latency_ms asked, 4.5 +- 7.2 % predicted (kept), 4.6 measured: kept as measured",
        "c: at most 5 of latency_ms asked, 5.5 predicted (not kept, 10.0 % above); not measured "
        "(`dasbench measure-latency --experiment` does it)",
        "d: at most 300 of macs asked, 300 found: kept",
    ]


def test_a_latency_measured_otherwise_is_not_that_of_the_bound() -> None:
    entry = search("a", {"on": "latency_ms"}, {"value": 4.0, "at_most": 5.0, "met": True})
    (note,) = cost_notes(table(entry, unit="ms (onnxruntime)", a0=9.0))
    assert "not measured" in note


def test_what_a_larger_weight_did_is_a_rank_correlation() -> None:
    values = {0.0: 6.0, 0.1: 6.5, 0.3: 5.0, 1.0: 4.0, 3.0: 3.0}
    entries = [weighed(f"w{weight:g}", weight, value + 1) for weight, value in values.items()]
    measured = {f"w{weight:g}0": value for weight, value in values.items()}
    tau, rho = (
        stats.kendalltau(list(values), list(values.values())),
        stats.spearmanr(list(values), list(values.values())),
    )
    (note,) = cost_notes(table(*reversed(entries), **measured))
    assert note == (
        "weight and measured latency of w0, w0.1, w0.3, w1, w3: "
        f"Kendall's tau {tau.statistic:.2f}, Spearman's rho {rho.statistic:.2f}, 5 searches "
        "(6 at 0, 6.5 at 0.1, 5 at 0.3, 4 at 1, 3 at 3)"
    )
    (unmeasured,) = cost_notes(table(*entries))
    assert unmeasured.startswith("weight and latency_ms as predicted of w0, ")
    assert "(7 at 0, 7.5 at 0.1" in unmeasured


def test_searches_that_differ_in_more_than_the_weight_are_not_compared() -> None:
    mixed = [weighed("a", 0.0, 3.0), weighed("b", 0.1, 2.0), weighed("c", 0.3, 1.0, scale=0.5)]
    assert cost_notes(table(*mixed)) == []
    multiplier = [weighed(str(k), 0.1 * k, 3.0 - k, objective="multiplier") for k in range(3)]
    assert cost_notes(table(*multiplier)) == []


def test_seeds_are_points_of_their_own_and_a_shared_search_is_one() -> None:
    entries = [
        weighed(f"w{weight}", weight, 9.0 - weight - seed, seed, "macs") for weight in (0, 1, 2) for seed in (0, 1)
    ]
    (note,) = cost_notes(table(*entries, weighed("twin", 2, 7.0, 0, "macs")))
    assert "weight and macs as counted of w0, w1, w2: " in note
    assert "6 searches (9 at 0, 8 at 0, 8 at 1, 7 at 1, 7 at 2, 6 at 2)" in note


def test_a_bound_is_of_the_row_that_asked_and_large_numbers_are_written_out() -> None:
    """A network pruned to the size that a search found rests on that search, too."""
    own = search("half", {"on": "macs"}, {"value": 340544, "at_most": 896640, "met": True})
    pruned = SimpleNamespace(row=SimpleNamespace(name="l1", method="l1_filter_pruning", searches=own.row.searches))
    assert cost_notes(table(own, pruned)) == ["half: at most 896,640 of macs asked, 340,544 found: kept"]
