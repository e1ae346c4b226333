"""Run directories of plausible experiments, written through the product's own records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.config import identity
from bench.plan.experiment import load_experiment
from bench.plan.recipe import load_recipe
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo
from bench.records.soundness import recipe_hash, signature
from methods.architecture import Architecture
from methods.spaces import get_space
from reports.analysis import Table, analyse
from reports.build import gather

RECIPE = "darts-cifar"


@dataclass(frozen=True)
class Kind:
    """A row to be invented: mean test error, spread between searches and between retrainings, size, cost."""

    label: str
    method: str
    error: float
    between: float = 0.15
    within: float = 0.10
    params: float = 3.3e6
    macs: float = 5.3e8
    hours: float = 10.0
    memory: float = 9e9
    sparsity: float = 0.0
    inheritance: str = "scratch"
    searched: bool = True
    collapse: bool = False
    recipe: str = RECIPE


KINDS = (
    Kind("darts", "darts", 3.00, params=3.2e6, hours=9.6),
    Kind("darts-2nd", "darts", 2.80, hours=24.0, memory=11e9),
    Kind("random", "random_sampling", 3.10, between=0.19, params=3.1e6, hours=0.0),
    Kind("DARTS_V2", "published", 2.76, params=3349342, macs=528.4e6, hours=0.0, searched=False),
    Kind("pc-darts", "pc_darts", 2.70, params=3.6e6, macs=5.6e8, hours=2.4, memory=4e9),
    Kind("mgas-small", "mgas", 3.40, params=0.70e6, macs=1.37e8, hours=14.0, memory=6e9, sparsity=0.01),
    Kind("l1-filters", "l1-filters", 3.60, params=1.6e6, macs=2.6e8, hours=5.0),
    Kind("l1-filters", "l1-filters", 3.30, params=1.6e6, macs=2.6e8, hours=5.0, inheritance="finetune",
         recipe="finetune-cifar"),
)  # fmt: skip

ENVIRONMENT = {
    "commit": "a" * 40, "dirty": False, "python": "3.11.9", "torch": "2.11.0", "torchvision": "0.26.0",
    "cuda": "12.8", "cudnn": "9.7", "device": "NVIDIA A100", "host": "node1", "threads": 8,
    "command": "dasbench run synthetic --profile paper",
}  # fmt: skip


def experiment(
    root: Path,
    kinds: tuple[Kind, ...] = KINDS,
    searches: int = 4,
    retrains: int = 2,
    profile: str = "paper",
    dataset: str = "cifar10",
    name: str = "synthetic",
    seed: int = 0,
    epochs: int = 10,
    architectures: bool = True,
    environment: dict[str, Any] | None = None,
    task: dict[str, Any] | None = None,
) -> Path:
    """Write an experiment and return its folder, `root/<name>-<profile>`.

    Args:
        task: of the configurations; of super-resolution `Kind.error` is a PSNR.
    """
    folder = root / f"{name}-{profile}"
    generator = np.random.default_rng(seed)
    common = {"experiment": name, "profile": profile, "dataset": dataset, "status": "done"}
    common["environment"] = {**ENVIRONMENT, **(environment or {})}
    common["config"] = {"task": task} if task else {}
    for kind in kinds:
        for s in range(searches) if kind.searched else (None,):
            centre = kind.error + (generator.normal(0, kind.between) if kind.searched else 0.0)
            architecture = _architecture(kind, s)
            needs = []
            if kind.searched:
                needs = [_search(folder, kind, s, common, architecture if architectures else None, generator, epochs)]
            for r in range(retrains):
                error = centre + generator.normal(0, kind.within)
                _train(folder, kind, s, r, common, architecture, needs, error)
    return folder


def one_train(folder: Path, label: str, error: float, s: int | None = 0, r: int = 0, **changes: Any) -> RunDirectory:
    """One finished retraining, its RunInfo changed as asked."""
    kind = Kind(label, changes.pop("method", label), error)
    common = {"experiment": "synthetic", "profile": "paper", "dataset": "cifar10", "status": "done"}
    common |= {"environment": dict(ENVIRONMENT)} | changes
    return _train(folder, kind, s, r, common, _architecture(kind, s), [], error)


def planned(folder: Path, name: str, profile: str, error: Callable[[int], float]) -> None:
    """All runs of a shipped experiment as they are planned, with invented results: `error` by place in the plan."""
    for k, info in enumerate(plan(load_experiment(name), profile)):
        run = RunDirectory(folder / info.name)
        run.create(replace(info, status="done"))
        evaluated = info.phase in ("train", "inherit")
        metrics = {"test_error": error(k), "best_test_accuracy": 100 - error(k)} if evaluated else {}
        result = {"phase": info.phase, "metrics": metrics, "costs": {}, "architecture": str(k)}
        run.write_result(result | ({"members": []} if info.phase == "inherit" else {}))


def _architecture(kind: Kind, s: int | None) -> Architecture:
    generator = torch.Generator().manual_seed(_number(kind.label) % 10_000 + (s or 0))
    sampled = get_space("darts_cell").sample(generator)
    if kind.method != "mgas":
        return sampled
    cells = [get_space("darts_cell").sample(generator).genotype["normal"] for _ in range(4)]
    return Architecture("dense_cell", {"cells": cells}, {"channels": 16, "cells": 4})


def _search(
    folder: Path, kind: Kind, s: int, common: dict[str, Any], found: Architecture | None, generator: Any, epochs: int
) -> str:
    transform = kind.method.startswith("l1")
    info = RunInfo(
        label=kind.label, method=kind.method, phase="transform" if transform else "search", search_seed=s,
        retrain_seed=None, signature="",
        **{**common, "config": {"method": kind.method, "search_seed": s, "options": {"epochs": 50}} | common["config"]},
    )  # fmt: skip
    sign(info, folder.name)
    run = RunDirectory(folder / info.name)
    run.create(info)
    for epoch in range(0 if transform else epochs):
        values = search_values(kind, epoch, epochs, generator)
        if info.config.get("task"):
            values = {name.replace("accuracy", "psnr"): value for name, value in values.items()}
        run.append_metrics(epoch, epoch * 10, values, epoch * 60, epoch * 60)
    if found is not None:
        found.save(run.path)
    run.write_result({
        "phase": info.phase, "metrics": {"valid_accuracy": 88.0 + s % 10}, "epochs": epochs, "report": {},
        "costs": {"params": 1930618, "peak_memory": kind.memory, "wall_s": kind.hours * 3600,
                  "device_s": kind.hours * 3600, "images": 1000},
        "architecture": found.digest if found else "none",
    })  # fmt: skip
    return info.signature


def search_values(kind: Kind, epoch: int, epochs: int, generator: Any) -> dict[str, Any]:
    part = (epoch + 1) / epochs
    skips = min(8, round((8 if kind.collapse else 2) * part))
    values: dict[str, Any] = {
        "train/loss": 2.3 - 1.8 * part, "train/accuracy": 10 + 80 * part + generator.normal(),
        "valid/loss": 2.3 - 1.6 * part, "valid/accuracy": 10 + 75 * part + generator.normal(),
        "arch/skips_normal": skips, "arch/skips_reduce": 1, "arch/entropy_normal": 2.0 - part,
        "arch/operations/skip_connect": skips + 1, "arch/operations/sep_conv_3x3": 10 - skips,
        "arch/operations/max_pool_3x3": 3, "arch/operations/dil_conv_5x5": 2, "images_per_second": 900.0,
    }  # fmt: skip
    if kind.method == "mgas":
        values |= {
            "mgas/ratio_operation": [1 - 0.5 * part - 0.05 * i for i in range(4)],
            "mgas/ratio_filter": [1 - 0.3 * part - 0.04 * i for i in range(4)],
            "mgas/ratio_weight": [1 - 0.1 * part - 0.02 * i for i in range(4)],
            "mgas/lambda": 0.01 * part, "mgas/size": 1.9e6 * (1 - 0.6 * part),
        }  # fmt: skip
    return values


def _train(
    folder: Path, kind: Kind, s: int | None, r: int, common: dict[str, Any], architecture: Architecture,
    needs: list[str],
    error: float,
) -> RunDirectory:  # fmt: skip
    settings = {
        "label": kind.label, "method": kind.method, "phase": "train", "search_seed": s, "retrain_seed": r,
        "signature": "", "inheritance": kind.inheritance, "recipe": {"name": kind.recipe}, "needs": needs,
    }  # fmt: skip
    source = {"run": needs[0]} if needs else {"published": kind.label}
    info = RunInfo(**{"config": {}, **settings, **common})
    info.config = {"recipe": _recipe(kind.recipe), "retrain_seed": r, "architecture": source, **info.config}
    sign(info, folder.name)
    run = RunDirectory(folder / info.name)
    run.create(info)
    architecture.save(run.path)
    if info.status == "done":
        result = train_result(kind, architecture, error)
        if info.config.get("task"):
            result |= {"metrics": of_pictures(error), "run": {"config": info.config}}
        run.write_result(result)
    return run


def of_pictures(psnr: float) -> dict[str, float]:
    """Metrics of a training for super-resolution; bicubic has 30 dB."""
    return {
        "test_psnr": psnr, "test_ssim": psnr / 40, "test_loss": 4.0, "train_loss": 4.2, "train_psnr": psnr - 1,
        "best_test_psnr": psnr + 0.05, "best_epoch": 590, "baseline_psnr": 30.0, "baseline_ssim": 0.875,
    }  # fmt: skip


def train_result(kind: Kind, architecture: Architecture, error: float) -> dict[str, Any]:
    return {
        "phase": "train", "architecture": architecture.digest, "epochs": 600, "report": {},
        "metrics": {"test_error": error, "test_accuracy": 100 - error, "test_loss": 0.12, "train_loss": 0.1,
                    "best_test_accuracy": 100 - error + 0.05, "best_epoch": 590, "train_accuracy": 99.0},
        "costs": {"params": kind.params, "params_training": kind.params + 476426, "macs": kind.macs,
                  "params_nonzero": kind.params * (1 - kind.sparsity), "macs_fvcore": kind.macs * 1.02,
                  "macs_sparse": kind.macs * (1 - kind.sparsity), "resolution": 32, "latency_ms": 11.0,
                  "latency_batch": 64, "peak_memory": 8e9, "wall_s": 72000.0, "device_s": 72000.0, "images": 3e7,
                  "search_device_s": kind.hours * 3600 if kind.searched else 0,
                  "search_peak_memory": kind.memory if kind.searched and kind.hours else None},
    }  # fmt: skip


def sign(info: RunInfo, folder: str) -> None:
    """Give a run the signature and the recipe's hash that its configuration has, once it is like no other run's."""
    place = (folder, info.label, info.method, info.phase, info.inheritance, info.search_seed, info.retrain_seed)
    info.config["invented"] = {"file": "/".join(map(str, place))}  # no part of what rows are told apart by
    if info.recipe:
        info.recipe["hash"] = recipe_hash(info.config["recipe"])
    info.signature = signature(info.config)


def sign_again(folder: Path) -> None:
    """Give runs whose configurations were changed their new signatures, there and where they are named."""
    documents = {path: json.loads(path.read_text()) for path in folder.glob("*/run.json")}
    renamed: dict[str, str] = {}
    for path in sorted(documents, key=lambda path: (documents[path]["phase"] != "search", documents[path]["needs"])):
        text = json.dumps(documents[path])
        for old, new in renamed.items():
            text = text.replace(old, new)
        document = json.loads(text)
        renamed[document["signature"]] = document["signature"] = signature(document["config"])
        path.write_text(json.dumps(document))


@cache
def _recipe(name: str) -> Any:
    return identity(load_recipe(name))


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def table_of(folder: Path) -> Table:
    """The first table of sound records."""
    tables, problems = analyse(gather([folder])[0])
    assert problems == []
    return tables[0]
