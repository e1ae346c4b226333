"""The steps that are measured or counted: one of each kind of search, and one of retraining, at a size.

A step is run as the loops run it. Beside it stands the textbook implementation of the same method (tests/oracles), one
module for every edge and candidate, which only a checkout has.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.config import ConfigError, nearest
from bench.device.engine import Engine
from bench.device.graph import GraphedStep
from bench.plan.recipe import Recipe
from bench.run.train import make_optimizer
from methods.base import GradientSearch, SearchContext
from methods.genotypes import published
from methods.parts.executors.protocol import branches_on_host
from methods.registry import get_method
from methods.spaces import NetworkSettings, build
from methods.spaces.supernets import relaxation

Step = Callable[[], Any]

SIZES = {  # channels, cells, batch of a search or a retraining; cells of a stage in nasbench201, places of a chain
    "small": {
        "darts": (8, 5, 32),
        "darts-201": (8, 2, 32),
        "darts-chain": (16, 11, 32),
        "pc_darts": (8, 5, 32),
        "gdas": (8, 5, 32),
        "gdas-201": (8, 2, 32),
        "proxylessnas-chain": (16, 11, 32),
        "proxylessnas-chain-all": (16, 11, 32),
        "mgas": (8, 5, 32),
        "retrain": (8, 5, 64),
        "retrain-imagenet": (8, 5, 32),
    },
    "published": {
        "darts": (16, 8, 64),
        "darts-201": (16, 5, 64),
        "darts-chain": (16, 11, 64),
        "pc_darts": (16, 8, 256),
        "gdas": (16, 8, 64),
        "gdas-201": (16, 5, 64),
        "proxylessnas-chain": (16, 11, 64),
        "proxylessnas-chain-all": (16, 11, 64),
        "mgas": (16, 8, 96),
        "retrain": (36, 20, 96),
        "retrain-imagenet": (48, 14, 128),
    },
}
CIFAR_PIXELS = 32
PIXELS = {"small": 64, "published": 224}
"""Height and width of an image of "retrain-imagenet", whose network has ImageNet's stem."""
EVERY_STEP = {"space": "chain_s", "weight_epochs": 0, "arch_start_epoch": 0, "arch_every": 1}
OPTIONS: dict[str, dict[str, Any]] = {
    "darts": {},
    "darts-2nd": {"unrolled": True},
    "darts-low": {"memory": "low"},
    "darts-201": {"space": "nasbench201"},
    "darts-chain": {"space": "chain_s"},
    "pc_darts": {"arch_start_epoch": 0},
    "gdas": {},
    "gdas-201": {"space": "nasbench201"},
    "proxylessnas-chain": EVERY_STEP,
    "proxylessnas-chain-all": EVERY_STEP | {"gates": "all_paths"},
    "mgas": {"stages": 1, "warmup_epochs": (0,)},
    "retrain": {},
    "retrain-imagenet": {},
}
"""Every case, and how its method's options differ from the published ones: all parameters are trained, MGAS steps
through all its cells, GDAS has the size of DARTS, and ProxylessNAS' architecture learns in every step.
A step of GDAS or ProxylessNAS runs the paths that it draws: steps differ."""

ORACLES = {"darts_cell": "cell_supernet", "nasbench201": "nasbench201_supernet"}
"""By space, its textbook in tests/oracles."""

TEXTBOOKS = ("darts", "darts-201", "pc_darts", "mgas")
"""Cases with a textbook. The second-order step is compared with its own in the tests."""


@dataclass(frozen=True)
class Case:
    """One step to measure: `images` go through it (training and validation batches both counted).

    They have `side` pixels in height and width.
    `step` is run as the loops run it; where that is a CUDA graph, `eager` is the same step kernel by kernel.
    `draws` says that every step runs other paths, so that what it keeps differs.
    """

    name: str
    channels: int
    cells: int
    batch: int
    images: int
    step: Step
    oracle: Step | None = None
    eager: Step | None = None
    side: int = CIFAR_PIXELS
    draws: bool = False


def cases(names: list[str], size: str, engine: Engine, oracle: bool) -> Iterator[Case]:
    """The cases by name (see `OPTIONS`), built one after the other.

    Raises:
        ConfigError: unknown name.
    """
    for name in names:
        if name not in OPTIONS:
            raise ConfigError(f"unknown case '{name}'" + nearest(name, OPTIONS))
        channels, cells, batch = SIZES[size].get(name) or SIZES[size][name.partition("-")[0]]
        torch.manual_seed(0)
        if name.startswith("retrain"):
            side = PIXELS[size] if name == "retrain-imagenet" else CIFAR_PIXELS
            update, inputs = _training_step(channels, cells, batch, side, engine)
            step, eager = _as_the_loops_do(update, inputs, engine, None)
            yield Case(name, channels, cells, batch, batch, step, None, eager, side)
            _forget(step)
            continue
        method = _search(name, channels, cells, batch, engine)
        train, valid = _batch(batch, engine), _batch(batch, engine)
        paired = method.split.paired
        second = valid if paired else None

        def update(train_batch: Any, valid_batch: Any, method: GradientSearch = method) -> Any:
            with engine.autocast():
                return method.step(train_batch, valid_batch)

        step, eager = _as_the_loops_do(update, (train, second), engine, method.supernet)
        textbook = _textbook(method, train, valid, engine) if oracle and name in TEXTBOOKS else None
        images, draws = batch * (2 if paired else 1), branches_on_host(method.supernet)
        yield Case(name, channels, cells, batch, images, step, textbook, eager, draws=draws)
        _forget(step)


def _as_the_loops_do(
    update: Callable[..., Any], inputs: tuple[Any, ...], engine: Engine, supernet: nn.Module | None
) -> tuple[Step, Step | None]:
    """The step as `bench.run.search` and `bench.run.train` run it, and eagerly where that is not the same."""
    recorder = engine.recorder_of(supernet)
    if recorder is None:
        return partial(update, *inputs), None
    return partial(engine.graphed(update, supernet), *inputs), partial(recorder.eager, partial(update, *inputs))


def _forget(step: Any) -> None:
    """Give back what a recording holds, before the next case is measured."""
    if isinstance(step.func, GraphedStep):
        step.func.renew()


def _search(name: str, channels: int, cells: int, batch: int, engine: Engine) -> GradientSearch:
    cls = get_method(name.partition("-")[0])
    given = OPTIONS[name]
    size = dict(zip(relaxation(given.get("space", "darts_cell")).size, (channels, cells), strict=False))
    options = size | {"batch_size": batch} | given
    method = cls(cls.Options(**options), SearchContext(num_classes=10))  # type: ignore[call-arg]
    assert isinstance(method, GradientSearch)
    method.to(engine.device)
    method.on_epoch_start(0)
    method.supernet.train()
    return method


def _training_step(
    channels: int, cells: int, batch: int, side: int, engine: Engine
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    stem, classes = ("cifar", 10) if side == CIFAR_PIXELS else ("imagenet", 1000)
    settings = NetworkSettings(channels, cells, stem=stem, auxiliary=side != PIXELS["small"])
    network = build(published("DARTS_V2"), classes, settings).to(engine.device)
    network.to(memory_format=engine.memory_format).train()
    network.set_drop_path(0.1)  # type: ignore[operator]
    optimizer = make_optimizer(network, Recipe("speed", epochs=1, batch_size=batch, lr=0.025))

    def update(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with engine.autocast():
            answers = network(images.contiguous(memory_format=engine.memory_format))
            logits, *auxiliary = answers if settings.auxiliary else (answers,)
            loss = F.cross_entropy(logits, labels)
            for head in auxiliary:
                loss = loss + 0.4 * F.cross_entropy(head, labels)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        return {"loss_sum": loss.detach()}

    return update, _batch(batch, engine, side)


# -- textbooks


def _textbook(method: GradientSearch, train: Any, valid: Any, engine: Engine) -> Step | None:
    """The same step by the book, of a network of its own; None where tests/oracles is not there."""
    space = getattr(method.options, "space", "")  # type: ignore[attr-defined]
    make = _mgas_textbook if method.name == "mgas" else _bilevel_textbook
    module = _oracle("mgas_supernet" if method.name == "mgas" else ORACLES[space])
    return make(module, method, train, valid, engine) if module else None


def _oracle(name: str) -> ModuleType | None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    try:
        return importlib.import_module(f"tests.oracles.{name}")
    except ImportError:
        return None
    finally:
        sys.path.pop(0)


def _bilevel_textbook(textbook: Any, method: Any, train: Any, valid: Any, engine: Engine) -> Step:
    """One architecture and one weight update of DARTS or PC-DARTS."""
    o, topology = method.options, method.relaxation.topology
    network = textbook.Supernet(10, o.channels, getattr(o, method.relaxation.size[1]), o.partial_channels)
    network.to(engine.device).train()
    shape = topology.shape[1:]
    alphas = {kind: (torch.randn(shape) * 1e-3).to(engine.device).requires_grad_() for kind in topology.kinds}
    edges = torch.ones(len(topology.edges), device=engine.device)
    weights = torch.optim.SGD(network.parameters(), o.lr, momentum=o.momentum, weight_decay=o.weight_decay)
    architecture = torch.optim.Adam(alphas.values(), o.arch_lr, betas=o.arch_betas, weight_decay=o.arch_weight_decay)

    def loss(batch: Any) -> Tensor:
        gates = {kind: (alpha.softmax(1), edges) for kind, alpha in alphas.items()}
        return F.cross_entropy(network(batch[0], gates), batch[1])

    def step() -> None:
        architecture.zero_grad()
        with engine.autocast():
            value = loss(valid)
        value.backward()
        architecture.step()
        weights.zero_grad()
        with engine.autocast():
            value = loss(train)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), o.clip)
        weights.step()

    return step


def _mgas_textbook(textbook: Any, method: Any, train: Any, valid: Any, engine: Engine) -> Step:
    """MGAS' one update, with a loop over filters for every gate; parameters and optimisers are ours.

    It starts with the parameters of the first step of a case, and returns its cross entropy.
    """
    o = method.options
    torch.manual_seed(0)
    twin: Any = _search("mgas", o.channels, o.cells, o.batch_size, engine)
    net = twin.supernet

    def step() -> Tensor:
        twin.optimizers.zero_grad()
        with engine.autocast():
            entropy = loss = F.cross_entropy(textbook.logits(net, train[0]), train[1])
        for cell in net.executed():
            gates = cell.alpha.sigmoid() * cell.operation_mask
            loss = loss + net.strength * textbook.cost(gates, textbook.step(gates - cell.t_operation))
            for name in ("t_operation", "t_filter", "t_weight", "t_input"):
                loss = loss + net.strength * (-getattr(cell, name)).exp().sum()
        loss.backward()
        nn.utils.clip_grad_norm_(twin.optimizers.module_weights, o.gradient_clip)
        twin.optimizers.step(weights_only=False)
        return entropy.detach()

    return step


def _batch(batch: int, engine: Engine, side: int = CIFAR_PIXELS) -> tuple[Tensor, Tensor]:
    images = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))
    return images.to(engine.device), (torch.arange(batch) % 10).to(engine.device)
