"""What rows that search under a cost cannot have."""

from __future__ import annotations

from typing import Any

from bench.config import ConfigError, restore
from bench.plan.schema import Row
from methods.base import GradientSearch, SamplingSearch
from methods.registry import all_methods, get_method


def check_row_cost(row: Row) -> None:
    """Raises ConfigError for a row whose search cannot heed its cost."""
    cost = row.cost
    if cost is None:
        return
    cls = None if row.method is None else get_method(row.method)
    if cls is None or not issubclass(cls, GradientSearch | SamplingSearch):
        raise ConfigError("'cost' is of a search, and this row has none; what its network costs is in the table anyway")
    if row.match is not None:
        raise ConfigError("a row is drawn at another one's size or searches under a cost; leave 'match' or 'cost' out")
    if issubclass(cls, GradientSearch):
        if not cls.takes_cost:
            raise ConfigError(f"{row.method} heeds no cost; these gradient searches do: {', '.join(_taking())}")
        if cost.objective == "log10":
            raise ConfigError("log10 is of the scores of a sampling search; take the sum or the log ratio in a loss")
        return
    rule = cost.rule(by_gradient=False)
    if rule == "multiplier":
        raise ConfigError(f"{row.method} has no loss for a multiplier; take the sum, the log ratio, or the bound alone")
    if rule != "none" and cost.reference is None and not cost.bounded:
        raise ConfigError(f"{row.method} weighs costs against a 'reference' (or 'at_most'); give one")


def check_predictable(label: str, row: Row, options: dict[str, Any]) -> None:
    """Raises ConfigError for a row whose latencies no measured network says anything of.

    Args:
        options: the row's, with what its profile says.
    """
    assert row.method is not None
    cls = get_method(row.method)
    if row.cost is None or row.cost.on != "latency_ms" or not issubclass(cls, GradientSearch):
        return
    reason = cls.unmeasured(restore(cls.Options, options, "options"))
    if reason:
        raise ConfigError(f"row '{label}': {reason}")


def _taking() -> list[str]:
    return [name for name, cls in all_methods().items() if issubclass(cls, GradientSearch) and cls.takes_cost]
