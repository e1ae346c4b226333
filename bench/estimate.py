"""How long an experiment will take here: a few steps of each different run are timed, and remembered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from bench.config import parse
from bench.data.datasets import ImageData
from bench.engine import Engine, device_name
from bench.experiment import signature
from bench.recipe import Recipe
from bench.records import RunInfo
from bench.train import training_loss
from methods.base import GradientSearch, SearchContext
from methods.genotypes import published
from methods.registry import get_method
from methods.spaces import NetworkSettings, build

TIMED_STEPS = 2
FILE_NAME = "estimates.json"


def estimate_seconds(planned: Iterable[RunInfo], data: ImageData, engine: Engine, runs_dir: Path) -> dict[str, float]:
    """Seconds of each run on one device, by signature; an upper bound for methods that may stop early.

    Runs that differ only in their seeds are timed once, on random images; the answers are kept in
    `RUNS_DIR/estimates.json` by configuration and device. Networks that are not known before a search stand in by a
    published one of the same scale.
    """
    path = runs_dir / FILE_NAME
    known = _read(path)
    result = {}
    for info in planned:
        config = {k: v for k, v in info.config.items() if k not in ("search_seed", "retrain_seed", "source", "match")}
        if info.phase == "train":
            config["architecture"] = config["architecture"].get("published", "searched")
        key = signature({"config": config, "device": device_name(engine.device), "torch": torch.__version__})
        if key not in known:
            known[key] = _time_run(info, data, engine)
        result[info.signature] = known[key]
    path.write_text(json.dumps(known, indent=1))
    return result


def _read(path: Path) -> dict[str, float]:
    try:
        content = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def _time_run(info: RunInfo, data: ImageData, engine: Engine) -> float:
    images = info.config["data"]["train_images"] or len(data.train)
    if info.phase == "search":
        cls = get_method(info.method)
        if not issubclass(cls, GradientSearch):
            return 0.0
        shape = data.info
        context = SearchContext(shape.num_classes, shape.channels, shape.image_size, info.config["stem"])
        method = cls(parse(cls.Options, info.config["options"], "options"), context)
        method.to(engine.device)
        steps = method.epochs * max(1, round(images * method.split.train / method.batch_size))
        batch = _fake_batch(method.batch_size, data, engine)
        return steps * _seconds_per_step(lambda: method.step(batch, batch if method.split.paired else None), engine)
    if info.phase == "train":
        return _time_training(info, data, engine, images)
    return 1.0


def _time_training(info: RunInfo, data: ImageData, engine: Engine, images: int) -> float:
    recipe = parse(Recipe, info.config["recipe"], "recipe")
    auxiliary = recipe.auxiliary_weight > 0
    settings = NetworkSettings(**info.config["network"], auxiliary=auxiliary, in_channels=data.info.channels)
    name = info.config["architecture"].get("published", "DARTS_V2")
    network = build(published(name), data.info.num_classes, settings).to(engine.device)
    inputs, labels = _fake_batch(recipe.batch_size, data, engine)

    def step() -> None:
        network.zero_grad()
        with engine.autocast():
            _, loss = training_loss(network(inputs), labels, recipe)
        loss.backward()

    return recipe.epochs * max(1, round(images / recipe.batch_size)) * _seconds_per_step(step, engine)


def _fake_batch(size: int, data: ImageData, engine: Engine) -> Any:
    info = data.info
    images = torch.randn(size, info.channels, info.image_size, info.image_size, device=engine.device)
    return images, torch.randint(info.num_classes, (size,), device=engine.device)


def _seconds_per_step(step: Any, engine: Engine) -> float:
    with engine.autocast():
        step()
    engine.synchronize()
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        step()
    engine.synchronize()
    return (time.perf_counter() - started) / TIMED_STEPS


def makespan(planned: list[RunInfo], seconds: dict[str, float], devices: int) -> float:
    """Seconds until the last run ends when each free device takes the next run that is ready."""
    free, ends = [0.0] * devices, dict[str, float]()
    for info in planned:
        ready = max((ends.get(need, 0.0) for need in info.needs), default=0.0)
        slot = min(range(devices), key=lambda index: free[index])
        ends[info.signature] = free[slot] = max(free[slot], ready) + seconds[info.signature]
    return max(ends.values(), default=0.0)
