"""Scores by shared weights: a supernet is trained by one random path a step, then each proposal is tried with them.

With random sampling this is random search with weight sharing (Li and Talwalkar, UAI 2019, section 4).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.config import restore
from bench.data.images import DatasetInfo
from bench.data.splits import SearchData
from bench.device.engine import Engine
from bench.plan.evaluations.supernet import Options
from bench.records.run_info import RunInfo
from bench.run.evaluators.base import Prepared, Proposal, Scored
from bench.run.loop import Loop
from bench.run.phases.context import EVALUATION_BATCH, RunContext, divided
from bench.run.search import check_weights
from bench.run.train import evaluate, set_learning_rate
from bench.seeds import derive, seed_everything
from methods.architecture import Architecture
from methods.base import SearchSplit
from methods.parts.schedule import cosine
from methods.spaces import get_space
from methods.spaces.decisions import Code, DecisionSpace, sample_code
from methods.spaces.paths import PathSupernet
from methods.spaces.supernet_settings import SupernetSettings
from methods.spaces.supernets import path_supernet

AUGMENTATION = "crop-flip"
TIMED_PATHS = 4
"""Random paths that stand for all of them in an estimate."""


def make(run: RunContext, evaluation: Options) -> SupernetEvaluator:
    """Of a search run: the supernet is trained on search-train, proposals are scored on search-valid."""
    data = divided(run, SearchSplit(), run.seed("search", run.info.search_seed))
    space = run.config["options"].get("space", "darts_cell")
    seed = run.seed("supernet", run.info.search_seed)
    seed_everything(derive(seed=seed, use="weights"))
    settings = SupernetSettings(
        evaluation.channels,
        evaluation.cells,
        run.config.get("stem", "cifar"),
        data.info.channels,
        evaluation.cells_per_stage,
    )
    supernet = path_supernet(space, data.info.outputs, settings).to(run.engine.device)
    return SupernetEvaluator(run, evaluation, data, get_space(space), supernet, seed)


class OnPath(nn.Module):
    """One network of a supernet."""

    def __init__(self, supernet: PathSupernet, code: Code) -> None:
        super().__init__()
        self.supernet, self.code = supernet, code

    def forward(self, images: Tensor) -> Tensor:
        return self.supernet(images, self.code)


@dataclass
class SupernetEvaluator:
    """The task's metric on search-valid of a network with the supernet's weights, its statistics taken anew.

    Every path of a step is drawn from the seed, the epoch and the step alone, so that a continued training goes on as
    it would have. A network off the path keeps its weights: its parameters have no gradient, and no decay.
    """

    run: RunContext
    options: Options
    data: SearchData
    space: DecisionSpace
    supernet: PathSupernet
    seed: int

    @property
    def kept(self) -> Path:
        return self.run.directory.path / "scores"

    def prepare(self) -> Prepared:
        """Train the supernet to its end."""
        o, run = self.options, self.run
        rate = torch.tensor(o.lr, device=run.engine.device) if run.engine.device.type == "cuda" else o.lr
        optimizer = torch.optim.SGD(
            self.supernet.parameters(), rate, momentum=o.momentum, weight_decay=o.weight_decay, nesterov=o.nesterov
        )
        batches = run.batches(self.data.train, o.batch_size, AUGMENTATION, self.seed, stream="search-train")
        loop = run.make_loop(self.seed, {"supernet": self.supernet, "optimizer": optimizer})
        for epoch in loop.epochs(o.epochs):
            lr = cosine(epoch, o.epochs, o.lr, o.lr_end)
            set_learning_rate(optimizer, lr)
            self.supernet.train()
            for images, labels in loop.steps(batches.epoch(epoch, loop.step), len(batches)):
                loop.add(self._step(images, labels, self._path(epoch, loop.step), optimizer))
            loop.end_epoch({**loop.averages(), "lr": lr})
        check_weights(self.supernet)
        return self._prepared(loop)

    def _path(self, epoch: int, step: int) -> Code:
        return sample_code(
            self.space, torch.Generator().manual_seed(derive(seed=self.seed, use="path", epoch=epoch, step=step))
        )

    def _step(self, images: Tensor, labels: Tensor, path: Code, optimizer: torch.optim.SGD) -> dict[str, Tensor]:
        optimizer.zero_grad(set_to_none=True)
        with self.run.engine.autocast():
            logits = self.supernet(images, path)
            loss = self.run.task.loss(logits, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.supernet.parameters(), self.options.clip)
        optimizer.step()
        return self.run.task.sums(logits.detach(), labels, loss.detach())

    def _prepared(self, loop: Loop) -> Prepared:
        last = loop.epoch_values[-1] if loop.epoch else {}
        metrics = {f"train_{name}": last.get(f"train/{name}") for name in ("loss", self.run.task.metric.key)}
        return Prepared(loop.images, loop.wall_seconds, loop.peak_memory, metrics, loop.epoch)

    def restored(self, number: int, scored: Scored) -> Scored:
        return scored

    def score(self, proposals: Sequence[Proposal]) -> list[Scored]:
        return [self._score(proposal) for _, proposal in proposals]

    def _score(self, proposal: Architecture) -> Scored:
        began, engine = time.monotonic(), self.run.engine
        code = self.space.encode(proposal)
        train, valid = self.run.evaluation(self.data.train), self.run.evaluation(self.data.valid)
        batches = [images for images, _ in itertools.islice(train.epoch(0), self.options.recalibration_batches)]
        with engine.autocast():
            self.supernet.recalibrate(code, batches)
        task = self.run.task
        found = evaluate(OnPath(self.supernet, code), valid, engine, "", task)
        images = sum(map(len, batches)) + len(self.data.valid)
        return Scored(task.metric.score(found[task.metric.key]), images, time.monotonic() - began, engine.peak_memory())


def seconds(run: RunInfo, samples: int, info: DatasetInfo, parts: tuple[int, int], engine: Engine) -> float:
    """For an estimate: of the supernet's training and of so many scores, by a few random paths.

    Args:
        parts: images of search-train and search-valid.
    """
    given = {key: value for key, value in run.config["evaluator"].items() if key != "name"}
    o = restore(Options, given, "supernet")
    name, context = run.config["options"].get("space", "darts_cell"), (run.config.get("stem", "cifar"), info.channels)
    settings = SupernetSettings(o.channels, o.cells, *context, o.cells_per_stage)
    supernet, space = path_supernet(name, info.outputs, settings).to(engine.device), get_space(name)
    paths = torch.Generator().manual_seed(0)
    shape = info.channels, info.image_size, info.image_size

    def took(size: int, learns: bool) -> float:
        images = torch.randn(size, *shape, device=engine.device)
        began = 0.0
        for number in range(1 + TIMED_PATHS):  # the first one takes longer
            if number == 1:
                engine.synchronize()
                began = time.perf_counter()
            with engine.autocast(), torch.set_grad_enabled(learns):
                loss = supernet(images, sample_code(space, paths)).float().square().mean()
            if learns:
                loss.backward()
        engine.synchronize()
        return (time.perf_counter() - began) / TIMED_PATHS

    many = EVALUATION_BATCH[engine.device.type]
    train, valid = (max(1, count) for count in parts)
    scored = min(o.recalibration_batches, math.ceil(train / many)) + math.ceil(valid / many)
    training = o.epochs * max(1, round(train / o.batch_size)) * took(min(o.batch_size, train), learns=True)
    return training + samples * scored * took(min(many, valid), learns=False)
