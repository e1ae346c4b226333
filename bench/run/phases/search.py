"""The search phase: from a method and the search's own view of the data to an architecture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import Tensor

from bench.config import restore
from bench.data.batches import Batches
from bench.data.seal import sealed
from bench.data.search_protocol import search_protocol
from bench.records.checkpoint import load_newest_checkpoint, save_checkpoint
from bench.records.directory import save_architecture, write_atomically
from bench.records.weights import WEIGHTS_NAME, save_weights
from bench.run.evaluators import make_evaluator
from bench.run.phases import heeded
from bench.run.phases.context import RunContext, RunError, divided, with_provenance
from bench.run.phases.listed import list_of
from bench.run.phases.match import said, size_to_match
from bench.run.phases.start import start_of
from bench.run.proposals import DIFFERENT, EVALUATIONS, write_proposals
from bench.run.rounds import scores_before
from bench.run.search import SamplingState, gradient_search, sampling_search
from bench.run.shared_weights import choose
from bench.run.shrinkage import LISTED_NAME, Shrinks
from bench.seeds import seed_everything
from methods.architecture import Architecture
from methods.base import GradientSearch, Method, SamplingSearch, SharedWeights
from methods.parts.costs.preference import Indifferent, Preference
from methods.registry import get_method
from methods.sampling.fronts import HasObjectives
from methods.spaces.base import SizeMatch


@dataclass
class Found:
    """What a search of either kind gives; `report` is for people, `shared` goes into the result as it is: networks on
    one set of weights, the evaluations of a search with two objectives."""

    architecture: Architecture
    costs: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    epochs: int = 0
    family: list[Architecture] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Tensor] | None = None
    shared: dict[str, Any] = field(default_factory=dict)


def make_method(run: RunContext, match: SizeMatch | None) -> Method:
    """The method of a search with all that it is told, from the search's seed."""
    cls = get_method(run.info.method)
    options: Any = restore(cls.Options, run.config["options"], "options")
    seed_everything(run.seed("search", run.info.search_seed))
    cost = heeded.cost_term(run) if issubclass(cls, GradientSearch) else None
    told: dict[str, Any] = {"match": match, "cost": cost, "start": start_of(run), "within": list_of(run)}
    context = replace(run.search_context(), **told)
    return cls(options, context)  # type: ignore[call-arg]


@sealed("the search of a method")
def run_search(run: RunContext) -> dict[str, Any]:
    """Search, write architecture.json, return the result."""
    match = size_to_match(run)
    method = make_method(run, match)
    if isinstance(method, GradientSearch):
        found = run_gradient_search(run, method, run.seed("search", run.info.search_seed))
    elif isinstance(method, SamplingSearch):
        asked = heeded.preference(run)
        found = run_sampling_search(run, method, asked)
        told = heeded.said(asked, found.architecture)
        found.architecture = replace(found.architecture, provenance={**found.architecture.provenance, **told})
    else:
        raise RunError(f"{run.info.method} is a transform; it cannot search")
    if run.engine.group.rank:
        return {}  # the first process writes
    for number, member in enumerate(found.family):
        folder = run.directory.path / "family" / f"{number:02d}"
        save_architecture(with_provenance(run, member, method.provenance()), folder)
    matched = said(match, run.config.get("match"), found.architecture)
    costs = {name: value for name, value in found.architecture.provenance.items() if name == "cost"}
    told = {name: list(map(shown_line, lines)) for name, lines in found.shared.items() if name == "query_table"}
    architecture = with_provenance(run, found.architecture, method.provenance() | matched | told)
    save_architecture(architecture, run.directory.path)
    if found.weights is not None:
        save_weights(found.weights, run.directory.path / WEIGHTS_NAME)
    return {
        "metrics": found.metrics,
        "costs": found.costs,
        "architecture": architecture.digest,
        "family": [member.digest for member in found.family],
        "epochs": found.epochs,
        "report": {"family": len(found.family), **found.report, **matched, **costs},
        **found.shared,
    }


def run_gradient_search(run: RunContext, method: GradientSearch, seed: int) -> Found:
    """Train the supernet to its end."""
    architecture, loop = gradient_search(
        method, *search_batches(run, method, seed), run.engine, partial(run.make_loop, seed), run.task
    )
    last = loop.epoch_values[-1] if loop.epoch else {}
    metrics = {
        f"{part}_{name}": last.get(f"{part}/{name}")
        for part in ("train", "valid")
        for name in ("loss", run.task.metric.key)
    }
    costs = {
        "params": sum(p.numel() for p in method.supernet.parameters()),
        "peak_memory": loop.peak_memory,
        "wall_s": loop.wall_seconds,
        "device_s": loop.device_seconds,
        "images": loop.images,
    }
    ending = {name: value for name, value in last.items() if name.startswith("arch/entropy")}
    if not isinstance(method, SharedWeights):
        told = ending | method.ending()
        return Found(architecture, costs, metrics, loop.epoch, method.family(), told, weights=method.inherited())
    costs |= choose(run, method, divided(run, method.split, seed), loop)
    best = method.table()[-1]
    metrics |= {"valid_accuracy": best.accuracy, "valid_loss": best.loss}
    kept = {"query_table": method.table(), "members": method.members()}
    lines = {name: [member.line() for member in members] for name, members in kept.items()}
    shared = {**lines, "largest": dict(method.largest())}
    return Found(method.architecture(), costs, metrics, loop.epoch, method.family(), ending, shared=shared)


def shown_line(line: dict[str, Any]) -> dict[str, Any]:
    """Of a query table, as an architecture remembers it for people: what to take for a cost."""
    return {"macs": line["macs"], "valid_accuracy": round(line["valid_accuracy"], 2), **line["chosen"]}


def search_batches(
    run: RunContext, method: GradientSearch, seed: int
) -> tuple[Batches, Batches | None, Batches | None]:
    """The batches of search-train, of search-valid beside them, and search-valid in order."""
    data, protocol = divided(run, method.split, seed), search_protocol(run.config)
    augmentation = protocol.augmentation or method.augmentation
    make = partial(run.batches, batch_size=method.batch_size, augmentation=augmentation, seed=seed)
    valid = make(data.valid, stream="search-valid", fresh=protocol.fresh) if method.split.paired else None
    validation = run.evaluation(data.valid) if len(data.valid) else None
    return make(data.train, stream="search-train"), valid, validation


def run_sampling_search(run: RunContext, method: SamplingSearch, asked: Indifferent) -> Found:
    """Run a sampling search; what scores its proposals is the experiment's choice, and so is what else it heeds."""
    evaluator, state = make_evaluator(run), SamplingState()
    state.scored = scores_before(run)
    prepared = evaluator.prepare() if method.needs_scores else None
    found = load_newest_checkpoint(evaluator.kept, run.info.signature)
    if found:
        state.load_state_dict(found["state"])
        state.scored = [evaluator.restored(number, each) for number, each in enumerate(state.scored)]

    def keep(number: int) -> None:
        save_checkpoint(evaluator.kept, number, 0, run.info.signature, state.state_dict())

    proposals: list[Architecture] = []
    told = lambda number, proposal: proposals.append(proposal)  # noqa: E731
    architecture = sampling_search(method, evaluator, state, keep, told, asked, run.config.get("at_once", 1))
    if ("evaluator" in run.config or "cost" in run.config) and method.needs_scores:
        priced = [asked.of(each) for each in proposals] if isinstance(asked, Preference) else None
        write_proposals(run.directory.path, proposals, [each.score for each in state.scored], priced)
    more = (dict(prepared.metrics), prepared.epochs) if prepared else ({}, 0)
    if isinstance(method, Shrinks) and method.listed is not None:
        write_atomically(run.directory.path / LISTED_NAME, json.dumps(method.listed.to_json()))
    counted = {EVALUATIONS: len(proposals), DIFFERENT: len({each.digest for each in proposals})}
    told_scores = counted if method.needs_scores else {}
    shared = {"objectives": method.objectives()} if isinstance(method, HasObjectives) and method.needs_scores else {}
    family, costs = method.family() if method.needs_scores else [], state.costs(prepared)
    report = {**told_scores, **method.findings()}
    return Found(architecture, costs, *more, family=family, report=report, shared=shared)
