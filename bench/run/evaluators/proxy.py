"""Scores by short trainings: every proposal is trained on search-train with the experiment's recipe.

Each one is a training of its own below the run's directory, with its checkpoints, and continues where it was stopped;
where several are proposed at once, each is a run of its own (`bench.run.phases.score`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.config import restore
from bench.data.splits import SearchData
from bench.plan.evaluations.proxy import Options
from bench.plan.recipe import Recipe
from bench.records.checkpoint import load_newest_checkpoint
from bench.records.directory import RunDirectory, make_folder
from bench.run.evaluators.base import Prepared, Proposal, Scored
from bench.run.loop import Loop
from bench.run.phases.context import RunContext, divided, settings_for
from bench.run.train import train
from bench.seeds import derive, seed_everything
from methods.architecture import Architecture
from methods.base import SearchSplit
from methods.spaces import build


def make(run: RunContext, evaluation: Options) -> ProxyEvaluator:
    """Of a search run, on its own view of the data."""
    data = divided(run, SearchSplit(), run.seed("search", run.info.search_seed))
    recipe = restore(Recipe, run.config["recipe"], "recipe")
    return ProxyEvaluator(run, recipe, data, run.seed("proxy", run.info.search_seed))


@dataclass
class ProxyEvaluator:
    """The metric on search-valid after a training with `recipe`; the same initial weights and data order for all."""

    run: RunContext
    recipe: Recipe
    data: SearchData
    seed: int

    @property
    def kept(self) -> Path:
        return self.run.directory.checkpoints

    def prepare(self) -> Prepared | None:
        return None

    def restored(self, number: int, scored: Scored) -> Scored:
        """For a search that an earlier version began, which did not count costs: they stand in the checkpoint."""
        if scored.images is not None:
            return scored
        found = load_newest_checkpoint(self._directory(number).checkpoints, self._signature(number))
        if found is None:
            return scored
        state = found["state"]
        return replace(scored, images=state["images"], seconds=state["seconds"], peak_memory=state["peak"])

    def score(self, proposals: Sequence[Proposal]) -> list[Scored]:
        return [self._score(number, proposal) for number, proposal in proposals]

    def _score(self, number: int, proposal: Architecture) -> Scored:
        directory = self._directory(number)
        make_folder(directory.path)
        return self.train(proposal, directory, self._signature(number))

    def train(self, proposal: Architecture, directory: RunDirectory, signature: str) -> Scored:
        """Train a proposal; its metrics and checkpoints are in `directory`, and are its own by `signature`."""
        run, recipe, data = self.run, self.recipe, self.data
        began = time.monotonic()
        seed_everything(derive(seed=self.seed, use="weights"))
        network = build(proposal, data.info.outputs, settings_for(run, recipe))

        def make_loop(parts: dict[str, Any]) -> Loop:
            return Loop(directory, signature, self.seed, run.engine, parts, run.stop, run.task)

        values, loop = train(
            network,
            recipe,
            run.batches(data.train, recipe.batch_size, recipe.augmentation, self.seed),
            run.evaluation(data.valid),
            run.engine,
            make_loop,
            num_classes=data.info.outputs,
            evaluate_every=recipe.epochs,
            part="valid",
            task=run.task,
        )
        metric = run.task.metric
        value = values.get(f"valid/{metric.key}", values.get(f"test/{metric.key}"))  # as earlier versions called it
        assert value is not None
        seconds = time.monotonic() - began + loop.earlier_seconds
        return Scored(metric.score(value), loop.images, seconds, loop.peak_memory)

    def _directory(self, number: int) -> RunDirectory:
        """Where the training of the n-th proposal keeps its metrics and checkpoints."""
        directory = self.run.directory
        return RunDirectory(directory.path / "proxies" / f"{number:03d}", directory.may_write)

    def _signature(self, number: int) -> str:
        return f"{self.run.info.signature}-{number}"
