"""What a search's configuration says of a cost, as what its method is given."""

from __future__ import annotations

from bench.config import restore
from bench.plan.row_cost import RowCost
from bench.run.phases.task import RunError, Task
from methods.architecture import Architecture
from methods.parts.costs.counts import Built, counted
from methods.parts.costs.objective import CostTerm
from methods.parts.costs.preference import Indifferent, Preference
from methods.parts.costs.protocol import Cost
from methods.spaces import NetworkSettings
from methods.spaces.relaxation import Relaxation


def cost_term(task: Task) -> CostTerm | None:
    """For a gradient search; None where no cost is named."""
    wanted = _wanted(task)
    if wanted is None:
        return None
    return CostTerm(
        lambda relaxed: _cost(task, wanted, relaxed),
        wanted.rule(by_gradient=True),
        wanted.at_most,
        wanted.reference,
        wanted.weight,
        wanted.scale,
        wanted.rate,
    )


def preference(task: Task) -> Indifferent:
    """For a sampling search."""
    wanted = _wanted(task)
    if wanted is None:
        return Indifferent()
    rule = wanted.rule(by_gradient=False)
    assert rule != "multiplier"
    reference = wanted.reference or wanted.at_most or 1.0
    return Preference(_cost(task, wanted, None), wanted.at_most, rule, wanted.weight, reference)


def said(asked: Indifferent, found: Architecture) -> dict[str, object]:
    """What a sampling search's answer remembers of its cost, as gradient searches' do."""
    if not isinstance(asked, Preference):
        return {}
    value = asked.of(found)
    told: dict[str, object] = {"on": asked.cost.name, "unit": asked.cost.unit, "value": value}
    if asked.at_most is not None:
        told |= {"at_most": asked.at_most, "met": value <= asked.at_most}
    return {"cost": told}


def _wanted(task: Task) -> RowCost | None:
    return restore(RowCost, task.config["cost"], "cost") if "cost" in task.config else None


def _cost(task: Task, wanted: RowCost, relaxed: Relaxation | None) -> Cost:
    if wanted.on == "latency_ms":
        raise RunError("a latency cannot be searched under yet; take params, macs or intensity")
    settings = NetworkSettings(**task.config["network"], in_channels=task.image_shape[0])
    return counted(wanted.on, Built(task.data.info.num_classes, settings, task.image_shape[-1]), relaxed)
