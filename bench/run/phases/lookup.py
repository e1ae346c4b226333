"""The lookup phase: a published table of trained networks answers instead of a retraining.

One architecture, of a search run or given, or a batch of seeds of a sampling search that the table scores; what a
record of either holds stands in docs/records.md.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.config import restore
from bench.data.tables import get_table
from bench.data.tables.agreement import agreement_with_table
from bench.plan.lookup import seeds_of
from bench.records.directory import save_architecture, write_atomically
from bench.records.run_info import RunInfo
from bench.run.evaluators.table import TableEvaluator
from bench.run.findings import means_of
from bench.run.phases.context import RunContext, RunError
from bench.run.phases.lines import Lines
from bench.run.phases.listed import SEEDS_NAME, lists_by_seed
from bench.run.phases.train import chosen_architecture, cost_of_needs
from bench.run.proposals import proposed, read_proposals
from bench.run.table_search import Answers, TableSearch
from methods.base import SamplingSearch, SearchContext
from methods.registry import get_method

IMAGES = {"cifar10": (10, 32), "cifar100": (100, 32), "imagenet16": (120, 16)}
"""Classes, and pixels of a side, of the data sets of tables."""


def run_lookup(run: RunContext) -> dict[str, Any]:
    """Look one architecture up, or search with a batch of seeds and look up what they found."""
    return run_batch(run) if "seeds" in run.config else look_up(run)


def look_up(run: RunContext) -> dict[str, Any]:
    """What the table says of one architecture; nothing is trained."""
    began = time.monotonic()
    architecture, report = chosen_architecture(run, run.config["architecture"])
    save_architecture(architecture, run.directory.path)
    found = _answers(run)
    index = found.table.index(architecture)
    seconds = time.monotonic() - began
    costs = {"params": int(found.table.params(run.info.dataset)[index]), "images": 0, "peak_memory": None}
    return {
        "metrics": found.metrics([index]),
        "answer": {"index": index, "architecture": architecture.digest, **_spent(run), **found.of(index)},
        "agreement": _agreement(run, found),
        "table": _said_of(run, found),
        "costs": costs | {"wall_s": seconds, "device_s": seconds, **cost_of_needs(run)},
        "architecture": architecture.digest,
        "epochs": 0,
        "report": report,
    }


def run_batch(run: RunContext) -> dict[str, Any]:
    """Search with every seed of the batch, continued after the last one that is done, then look up the answers."""
    search, seeds = search_of(run.info, run.directory.checkpoints), seeds_of(run.config["seeds"])
    batch, lists = Lines(run, len(seeds)), lists_by_seed(run, search.evaluator.table)
    for seed in seeds[len(batch.lines) :]:
        context = replace(context_of(run.info, run.seed("method", seed)), within=lists.get(seed))
        batch.add({"seed": seed, **search.run(run.seed("search", seed), context)})
    batch.keep()
    found = _answers(run)
    lines = [found.complete(line) for line in batch.lines]
    write_atomically(run.directory.path / SEEDS_NAME, "".join(json.dumps(line) + "\n" for line in lines))
    budgets = {
        str(budget): found.metrics([line["answers"][place]["index"] for line in lines])
        for place, budget in enumerate(search.budgets)
    }
    evaluations = sum(line["evaluations"] for line in lines)
    return {
        "metrics": budgets[str(run.config["budget"])],
        "budgets": budgets,
        "seeds": len(lines),
        **means_of(lines),
        "table": _said_of(run, found),
        "costs": {
            "evaluations": evaluations,
            "trained_epochs": evaluations * search.evaluator.epochs,
            "wall_s": batch.seconds,
            "device_s": batch.seconds,
            "images": 0,
            "peak_memory": None,
        },
        "epochs": 0,
        "report": {},
    }


def search_of(info: RunInfo, kept: Path) -> TableSearch:
    """What the batch of a run searches with.

    Raises:
        RunError: the method proposes nothing.
    """
    cls = get_method(info.method)
    if not issubclass(cls, SamplingSearch):
        raise RunError(f"{info.method} proposes no architectures that a table could score")
    given = info.config["evaluator"]
    evaluator = TableEvaluator(get_table(given["table"]), info.dataset, given["epochs"], kept)
    options: Any = restore(cls.Options, info.config["options"], "options")
    return TableSearch(cls, options, evaluator, tuple(info.config["budgets"]))


def seconds_of_lookup(info: RunInfo) -> float:
    """For an estimate: of a batch from one seed of it, at least a second."""
    if "seeds" not in info.config:
        return 1.0
    search, began = search_of(info, Path()), time.perf_counter()
    search.run(0, context_of(info, 0))
    return max(1.0, (time.perf_counter() - began) * len(seeds_of(info.config["seeds"])))


def context_of(info: RunInfo, seed: int) -> SearchContext:
    """What a method is told: as in a search on images of the data set that the table speaks of.

    Raises:
        RunError: nobody said here what its images are.
    """
    if info.dataset not in IMAGES:
        raise RunError(
            f"classes and size of the images of '{info.dataset}' are not known; add them to {__name__}.IMAGES"
        )
    classes, size = IMAGES[info.dataset]
    return SearchContext(classes, 3, size, "cifar", seed)


def _agreement(run: RunContext, found: Answers) -> dict[str, Any] | None:
    """Of the scores that the search gave its proposals with the table's test accuracies; None where it gave none."""
    proposals = read_proposals(run.needed(run.info.needs[0])) if run.info.needs else []
    if len(proposals) < 2:
        return None
    scores, wanted = {found.table.index(each): score for each, score in proposals}, run.config["lookup"]
    told = agreement_with_table(found.table, scores, run.info.dataset, wanted["epochs"], wanted.get("version", ""))
    return {"networks": told.networks, "kendall_tau": told.tau, "top": {str(k): v for k, v in told.top.items()}}


def _spent(run: RunContext) -> dict[str, int]:
    """Evaluations of the search that found what is looked up, and the different networks among them, if it had any."""
    scored = proposed(run.needed(run.info.needs[0])) if run.info.needs else []
    return {"evaluations": len(scored), "distinct": len(set(scored))} if scored else {}


def _answers(run: RunContext) -> Answers:
    wanted = run.config["lookup"]
    return Answers(get_table(wanted["table"]), run.info.dataset, wanted["epochs"], wanted.get("version", ""))


def _said_of(run: RunContext, found: Answers) -> dict[str, Any]:
    table, wanted = found.table, run.config["lookup"]
    said = {"name": table.name, "sha256": table.digest, "networks": len(table), "epochs": wanted["epochs"]}
    return said | {"selection_note": table.selection_note}
