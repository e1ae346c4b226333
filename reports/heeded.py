"""What searches under a cost were asked for, what they found, and what that was measured to take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.directory import Record
from methods.architecture import canonical_json
from reports.analysis import Table
from reports.collect import without_seeds
from reports.numbers import Number
from reports.rows import number, search_seed
from reports.statistics import kendall, spearman

LATENCY = "latency_ms"
FEWEST = 3
"""Weights from which a rank correlation is stated."""


@dataclass(frozen=True)
class Heeded:
    """One search.

    Attributes:
        on, unit: of its cost.
        value: of the network that it found, as counted or predicted.
        measured: the latency of that network where it was measured as the predictor's networks were.
        at_most: its bound, if any.
        weight: of the cost in its loss or score; None where it has none.
        error: of the predictor on networks that it was not fitted to, as a share.
        alike: what it has in common with searches that differ in the weight alone.
    """

    row: str
    seed: int
    on: str
    unit: str
    value: float
    measured: float | None
    at_most: float | None
    weight: float | None
    error: float | None
    alike: str

    @property
    def found(self) -> float:
        """The measured value, or what is known without measuring."""
        return self.value if self.measured is None else self.measured


def heeded(table: Table) -> list[Heeded]:
    """Of all finished searches of the rows of a table, in its order; not of those that another row's size came from."""
    latencies = [each for each in table.numbers if each.latency]
    return [
        one
        for entry in table.entries
        for record in entry.row.searches
        if record.info.phase == "search"
        and record.info.method == entry.row.method
        and (one := _of(entry.row.name, record, latencies)) is not None
    ]


def _of(row: str, record: Record, latencies: Sequence[Number]) -> Heeded | None:
    result = record.result or {}
    report, asked = result.get("report"), record.info.config.get("cost") or {}
    cost = report.get("cost") if isinstance(report, Mapping) else None
    if not isinstance(cost, Mapping) or number(cost.get("value")) is None:
        return None
    on, unit = str(cost.get("on")), str(cost.get("unit"))
    places = [each for each in latencies if each.unit == unit] if on == LATENCY else []
    measured = next((each.by_digest.get(str(result.get("architecture"))) for each in places), None)
    return Heeded(
        row, search_seed(record), on, unit, float(cost["value"]), measured, number(cost.get("at_most")),
        _weight(asked), number(cost.get("held_out_error")), _alike(record.info.config, asked),
    )  # fmt: skip


def _weight(asked: Mapping[str, Any]) -> float | None:
    """Of the sum and the log ratio; a multiplier has none that is given."""
    return number(asked.get("weight")) if asked.get("objective") in ("sum", "log_ratio") else None


def _alike(config: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in asked.items() if key != "weight"}
    return canonical_json([without_seeds({**config, "cost": rest}), config.get("latency")])


def cost_notes(table: Table) -> list[str]:
    """Sentences below a table: on each bound, and on what a larger weight did."""
    found = heeded(table)
    return [*_bounds(found), *_weights(found)]


def _bounds(found: Sequence[Heeded]) -> Iterator[str]:
    for one in found:
        if one.at_most is None:
            continue
        several = sum(other.row == one.row for other in found) > 1
        who = f"{one.row}, search seed {one.seed}" if several else one.row
        asked = f"{who}: at most {_counted(one.at_most)} of {one.on} asked"
        if one.on != LATENCY:
            yield f"{asked}, {_counted(one.value)} found: {_kept(one.value, one.at_most)}"
            continue
        error = "" if one.error is None else f" +- {100 * one.error:.1f} %"
        said = f"{asked}, {one.value:.4g}{error} predicted ({_kept(one.value, one.at_most)})"
        if one.measured is None:
            yield f"{said}; not measured (`dasbench measure-latency --experiment` does it)"
        else:
            yield f"{said}, {one.measured:.4g} measured: {_kept(one.measured, one.at_most)} as measured"


def _counted(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _kept(value: float, at_most: float) -> str:
    return "kept" if value <= at_most else f"not kept, {100 * (value / at_most - 1):.1f} % above"


def _weights(found: Sequence[Heeded]) -> Iterator[str]:
    """Of searches that differ in the weight alone; one that several rows share counts once."""
    groups: dict[str, dict[tuple[float, int], Heeded]] = defaultdict(dict)
    for one in found:
        if one.weight is not None:
            groups[one.alike].setdefault((one.weight, one.seed), one)
    for by_weight in groups.values():
        if len({weight for weight, _ in by_weight}) >= FEWEST:
            yield _of_weights([one for _, one in sorted(by_weight.items(), key=lambda item: item[0])])


def _of_weights(group: Sequence[Heeded]) -> str:
    """The rank correlation, and the points that it is of.

    Args:
        group: by rising weight.
    """
    measured = all(one.measured is not None for one in group)
    known = "predicted" if group[0].on == LATENCY else "counted"
    what = "measured latency" if measured else f"{group[0].on} as {known}"
    weights, values = [one.weight or 0.0 for one in group], [one.found if measured else one.value for one in group]
    tau, rho = kendall(weights, values), spearman(weights, values)
    said = "all are equal" if tau is None or rho is None else f"Kendall's tau {tau:.2f}, Spearman's rho {rho:.2f}"
    points = ", ".join(f"{value:.4g} at {weight:g}" for weight, value in zip(weights, values, strict=True))
    rows = ", ".join(dict.fromkeys(one.row for one in group))
    return f"weight and {what} of {rows}: {said}, {len(group)} searches ({points})"
