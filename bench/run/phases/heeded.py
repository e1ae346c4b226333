"""What a search's configuration says of a cost, as what its method is given."""

from __future__ import annotations

from bench.config import restore
from bench.latency.fitted_file import load_cost
from bench.plan.row_cost import RowCost, file_digest
from bench.plan.stand_ins import searched_space
from bench.records.inputs import verified_file
from bench.records.run_info import FITTED_NAME
from bench.run.phases.context import RunContext, RunError
from methods.architecture import Architecture
from methods.parts.costs.counts import Built, counted
from methods.parts.costs.objective import CostTerm
from methods.parts.costs.preference import Indifferent, Preference, bound_of
from methods.parts.costs.protocol import Cost
from methods.spaces import NetworkSettings
from methods.spaces.relaxation import Relaxation


def cost_term(run: RunContext) -> CostTerm | None:
    """For a gradient search; None where no cost is named."""
    wanted = _wanted(run)
    if wanted is None:
        return None
    rule = wanted.rule(by_gradient=True)
    assert rule != "log10"
    return CostTerm(
        lambda relaxed: _cost(run, wanted, relaxed),
        rule,
        wanted.at_most,
        wanted.share,
        wanted.reference,
        wanted.weight,
        wanted.scale,
        wanted.rate,
    )


def preference(run: RunContext) -> Indifferent:
    """For a sampling search."""
    wanted = _wanted(run)
    if wanted is None:
        return Indifferent()
    rule = wanted.rule(by_gradient=False)
    assert rule != "multiplier"
    cost = _cost(run, wanted, None)
    bound = bound_of(cost, searched_space(run.info), wanted.at_most, wanted.share)
    return Preference(cost, bound, rule, wanted.weight, wanted.reference or bound or 1.0)


def said(asked: Indifferent, found: Architecture) -> dict[str, object]:
    """What a sampling search's answer remembers of its cost, as gradient searches' do."""
    if not isinstance(asked, Preference):
        return {}
    value = asked.of(found)
    told: dict[str, object] = {"on": asked.cost.name, "unit": asked.cost.unit, "value": value, **asked.cost.told}
    if asked.at_most is not None:
        told |= {"at_most": asked.at_most, "met": value <= asked.at_most}
    return {"cost": told}


def _wanted(run: RunContext) -> RowCost | None:
    return restore(RowCost, run.config["cost"], "cost") if "cost" in run.config else None


def _cost(run: RunContext, wanted: RowCost, relaxed: Relaxation | None) -> Cost:
    settings = NetworkSettings(**run.config["network"], in_channels=run.image_shape[0])
    built = Built(run.data.info.outputs, settings, run.data.info.image_size)
    if wanted.on == "latency_ms":
        return _latency(run, wanted, built, relaxed)
    return counted(wanted.on, built, relaxed)


def _latency(run: RunContext, wanted: RowCost, built: Built, relaxed: Relaxation | None) -> Cost:
    """By the predictor that a fit run made, or by the run's own copy of a file.

    Raises:
        LatencyError: it is of another space, device, size of networks or images, or no predictor in it is worth using.
        RunError: the file is another than was planned with.
    """
    if "latency" in run.config:
        path = verified_file(run.needed(run.config["latency"]["run"]), FITTED_NAME)
    else:
        path = run.directory.path / FITTED_NAME
        if wanted.file is None or file_digest(str(path)) != wanted.file:
            raise RunError(
                f"{path} is not the file that this run was planned with; remove the run directory to begin anew"
            )
    return load_cost(
        path,
        searched_space(run.info),
        wanted.predictor,
        device=wanted.device,
        network=built,
        way=wanted.encoding,
        relaxed=relaxed,
    )
