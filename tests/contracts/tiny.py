"""The tiny form of a method's options: sizes with which it runs in seconds on one core, by the names of options."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch

from methods.base import GradientSearch, Method, MethodError, SamplingSearch, SearchContext, Start, Transform
from methods.registry import all_methods
from methods.spaces import NetworkSettings, build, get_space, space_names
from methods.spaces.graph.space import GraphSpace
from methods.spaces.supernets import RELAXATIONS, relaxation
from methods.spaces.width_space import WidthSpace
from methods.tasks import get_task

TINY: dict[str, Any] = {
    "samples": 3,
    "epochs": 2,
    "batch_size": 4,
    "channels": 4,
    "cells": 3,
    "cells_per_stage": 1,
    "arch_start_epoch": 1,
    "warmup_epochs": 1,
}
SIZES = ("channels", "cells", "cells_per_stage")
"""A method whose options are named as others' are is made small by these; `OF_METHODS` has what is peculiar to one."""

OF_METHODS: dict[str, dict[str, Any]] = {
    "hc_das": {"cells": 5},
    "hs_das": {"cells": 8},
    "hs_das_distribution": {"cells": 11, "positions": 2},
    "eg_nas_blocks": {"lambdas": (0.0, 0.5)},
    "surgenas": {"ordered_epochs": 1},
    "proxylessnas": {"weight_epochs": 1, "arch_every": 2},
    "proxylessnas_r": {"weight_epochs": 1, "arch_every": 2, "draws": 2},
    "mgas": {
        "warmup_epochs": (0,),
        "targets": (18000.0, 12000.0),
        "autoaugment": False,
        "commit_interval": 1,
        "stages": 1,
        "phase_epochs": (1, 1),
        "max_epochs": 2,
        "stage_ratios": (0.8,),
        "threshold_pace": 200.0,
        "lambda_delta": 5e-3,
    },
}

OF_METHODS["dlsr"] = {"channels": 8, "patch": 32}
OF_METHODS["dna"] = {"move_every": 1, "arch_start_epoch": 0, "arch_lr": 0.5, "ratio": 2.0}
OF_SPACES: dict[tuple[str, str], dict[str, Any]] = {("mgas", "chain_xs"): {"targets": (60000.0, 45000.0)}}
"""What is peculiar to a method in one of its spaces."""

TWINS = ("chain_s", "chain_s_widths", "staged_cell")
"""Spaces that are another one in large, which stands for them: chain_xs, chain_xs_widths; and
`darts_cell`, whose cells `hc_das` searches by stage."""

WIDTHS = [name for name in space_names() if isinstance(get_space(name), WidthSpace)]
"""Spaces that have no relaxation of operations, but an elastic network."""

GRAPHS = [name for name in space_names() if isinstance(get_space(name), GraphSpace)]
"""As these; edges with gates are theirs."""

CONTEXT = SearchContext(num_classes=10, in_channels=1, image_size=8, seed=1)
ENLARGING = replace(CONTEXT, num_classes=4, image_size=16, task=get_task("super_resolution", {"scale": 2}))
"""For searches of networks that give images, twice as large."""


def tiny(name: str, space: str = "") -> dict[str, Any]:
    """Of a registered method, in a space of several; the first of them where none is named."""
    names = {field.name for field in fields(all_methods()[name].Options)}
    options = {key: value for key, value in TINY.items() if key in names} | OF_METHODS.get(name, {})
    if issubclass(all_methods()[name], GradientSearch) and "space" in names:
        space = space or relaxed_spaces(name)[0]
        options |= OF_SPACES.get((name, space), {})
        if space in GRAPHS:
            return {key: value for key, value in options.items() if key not in SIZES[1:]} | {"space": space}
        if space in WIDTHS:
            return {key: value for key, value in options.items() if key not in SIZES} | {"space": space}
        others = {size for each in RELAXATIONS.values() for size in each.size} - set(relaxation(space).size)
        options = {key: value for key, value in options.items() if key not in others} | {"space": space}
    return options


def relaxed_spaces(name: str) -> list[str]:
    """Every space that a gradient search can be told to work in on these images; [""] for a method with its own."""
    spaces = [name for name, relaxed in RELAXATIONS.items() if CONTEXT.stem in relaxed.stems]
    spaces = [name for name in [*spaces, *WIDTHS, *GRAPHS] if name not in TWINS]
    options = all_methods()[name].Options
    if all_methods()[name].starts_from != "nothing":
        return [each for each in all_methods()[name].facts.space.split(", ") if each not in TWINS]
    has_spaces = "space" in {field.name for field in fields(options)}
    return [space for space in spaces if allows(options, space)] if has_spaces else [""]


def context_of(name: str, space: str, seed: int) -> SearchContext:
    """What a method is told; one that starts from another row's network has a narrow one of a space of widths."""
    if name in ENLARGE:
        return replace(ENLARGING, seed=seed)
    if all_methods()[name].starts_from == "nothing":
        return CONTEXT
    of: Any = get_space(space or relaxed_spaces(name)[0])
    narrow = of.grid.picked({each.name: each.nearest(0.3) for each in of.grid.choices()})
    architecture = of.architecture(replace(narrow, resolution=32))
    settings = NetworkSettings(in_channels=CONTEXT.in_channels)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = build(architecture, CONTEXT.num_classes, settings)
    return replace(CONTEXT, seed=seed, start=Start(architecture, settings, network.state_dict()))


def allows(options: Any, space: str) -> bool:
    """Whether a method can be told to work in a space."""
    try:
        options(space=space)
    except MethodError:
        return False
    return True


def registered(kind: type[Method]) -> list[str]:
    return [name for name, cls in all_methods().items() if issubclass(cls, kind)]


ENLARGE = [name for name in registered(GradientSearch) if "dlsr" in all_methods()[name].facts.space.split(", ")]
"""Gradient searches of networks that give images."""
GRADIENT_SEARCHES = registered(GradientSearch)
SAMPLING_SEARCHES = registered(SamplingSearch)
TRANSFORMS = registered(Transform)
