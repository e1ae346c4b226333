"""Discrete networks whose stages are graphs of cells (research-hdas, models/augment_stage.py and get_dag.py, 230b175).

Stem, stage, reduction cell, stage, reduction cell, stage, classifier. Both inputs of every cell are one tensor. As
released, the auxiliary head stands behind the second reduction cell, and drop path leaves out operations of cells and
pools between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.drop_path import drop_path
from methods.spaces.cell.layout import INPUTS
from methods.spaces.cell.network import AuxiliaryHead, Cell, cifar_stem, imagenet_stem
from methods.spaces.operations import ReLUConvBN, make_operation
from methods.spaces.stages.layout import CONVENTIONS, StageLayout


class StageCells(nn.Module):
    """The two preprocessings of a stage's input, and its cells."""

    def __init__(self, stage: StageLayout, affine: bool = True) -> None:
        super().__init__()
        self.preprocess0 = ReLUConvBN(stage.c_in, stage.width, affine)
        self.preprocess1 = ReLUConvBN(stage.c_in, stage.width, affine)
        self.cells = nn.ModuleList(
            Cell(stage.cell, stage.width, stage.width, False, CONVENTIONS) for _ in range(stage.cells)
        )

    def inputs(self, x: Tensor) -> list[Tensor]:
        """The first two states."""
        return [self.preprocess0(x), self.preprocess1(x)]


class Stage(StageCells):
    """A graph of cells; its output is its last two states, side by side."""

    def __init__(self, stage: StageLayout) -> None:
        super().__init__(stage)
        self.edges = stage.edges
        self.operations = nn.ModuleList(
            make_operation(edge.operation, stage.width, stage.width, 1, pool_norm=True) for edge in stage.edges
        )

    def forward(self, x: Tensor, drop_probability: Tensor | None) -> Tensor:
        states = self.inputs(x)
        for number, cell in enumerate(self.cells):
            arriving = []
            for edge, operation in zip(self.edges, self.operations, strict=True):
                if edge.node == INPUTS + number:
                    value = operation(states[edge.source])
                    dropped = drop_probability is not None and not isinstance(operation, nn.Identity)
                    arriving.append(drop_path(value, cast(Tensor, drop_probability)) if dropped else value)
            total = reduce(torch.add, arriving)
            states.append(cell(total, total, drop_probability))
        return torch.cat(states[-2:], dim=1)


class StageFrame(nn.Module):
    """What discrete networks and supernets share: stem, stages with reductions between them, classifier."""

    def add_frame(
        self,
        stages: list[StageLayout],
        make_stage: Callable[[StageLayout], nn.Module],
        num_classes: int,
        stem: str,
        channels: int,
        in_channels: int,
    ) -> None:
        """Make stem, stages and classifier, once and after `__init__`.

        Args:
            make_stage: gives modules that are called with a stage's input and what is for it.
            channels: C.
        """
        self.stem_kind = stem
        if stem == "cifar":
            self.stem, self.stem1 = cifar_stem(in_channels, stages[0].c_in), nn.Sequential()
        else:
            self.stem, self.stem1 = imagenet_stem(in_channels, channels, stages[0].c_in)
        self.reductions = nn.ModuleList()
        self.stages = nn.ModuleList()
        c_out = 0
        for stage in stages:
            if stage.reduction is not None:
                self.reductions.append(Cell(stage.reduction, c_out, c_out, False, CONVENTIONS))
            self.stages.append(make_stage(stage))
            c_out = stage.c_out
        self.classifier = nn.Linear(c_out, num_classes)

    def run(self, images: Tensor, for_stages: Iterable[Any], drop: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The logits (batch, num_classes), and what the last reduction cell gives.

        Args:
            for_stages: what each stage is called with beside its input.
        """
        x = self.stem1(self.stem(images))
        reduced = x
        for number, (stage, given) in enumerate(zip(self.stages, for_stages, strict=True)):
            if number:
                x = reduced = self.reductions[number - 1](x, x, drop)
            x = stage(x, given)
        pooled = F.adaptive_avg_pool2d(x, 1).flatten(1) if self.stem_kind == "cifar" else x.mean((2, 3))
        return self.classifier(pooled), reduced


class StageNetwork(StageFrame):
    """`forward(images)` gives logits (batch, num_classes); in training with an auxiliary head the pair with its logits.

    Drop path is off until `set_drop_path` is called with a probability above zero.
    """

    drop_path_probability: Tensor

    def __init__(
        self, stages: list[StageLayout], num_classes: int, stem: str, channels: int, in_channels: int, auxiliary: bool
    ) -> None:
        super().__init__()
        self.add_frame(stages, Stage, num_classes, stem, channels, in_channels)
        self.auxiliary_head = AuxiliaryHead(stages[-1].c_in, num_classes, stem) if auxiliary else None
        self.register_buffer("drop_path_probability", torch.zeros(()), persistent=False)
        self.drop_path_on = False

    def set_drop_path(self, probability: float) -> None:
        """Probability with which an operation's output is dropped for a sample, in training mode."""
        self.drop_path_on = self.drop_path_on or probability > 0
        self.drop_path_probability.fill_(probability)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        drop = self.drop_path_probability if self.training and self.drop_path_on else None
        logits, reduced = self.run(images, [drop] * len(self.stages), drop)
        if self.auxiliary_head is None or not self.training:
            return logits
        return logits, self.auxiliary_head(reduced)
