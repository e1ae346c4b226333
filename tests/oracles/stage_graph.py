"""Stages as graphs of cells, written out edge by edge; cells and projections are those of the tested network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

RunStage = Callable[[Any, Tensor, int], Tensor]


def normalised(x: Tensor) -> Tensor:
    """Batch statistics, no scale and shift."""
    return F.batch_norm(x, None, None, training=True)


def operations(x: Tensor) -> list[Tensor]:
    """Max pool, average pool, skip connection, nothing."""
    average = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return [normalised(F.max_pool2d(x, 3, 1, 1)), normalised(average), x, 0 * x]


def mixed(stage: Any, x: Tensor, weights: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """All states of a stage; the first cell reads two of them, every other one the last three."""
    states = [stage.preprocess0(x), stage.preprocess1(x)]
    rows = iter(weights)
    for cell in stage.cells:
        total = torch.zeros_like(states[0])
        for state in states[-3:]:
            row = next(rows)
            for weight, value in zip(row, operations(state), strict=True):
                total = total + weight * value
        states.append(cell(total, total, None))
    assert next(rows, None) is None
    return states


def chain(stage: Any, x: Tensor) -> Tensor:
    """A stack of cells, both inputs of each the output of the one before; the last two outputs side by side."""
    outputs = [stage.preprocess1(x)]
    for cell in stage.cells:
        outputs.append(cell(outputs[-1], outputs[-1], None))
    return torch.cat(outputs[-2:], dim=1)


def network(frame: Any, images: Tensor, run: RunStage) -> Tensor:
    """Logits; `run` is called with a stage, its input and its number."""
    x = frame.stem(images)
    for number, stage in enumerate(frame.stages):
        if number > 0:
            x = frame.reductions[number - 1](x, x, None)
        x = run(stage, x, number)
    return frame.classifier(x.mean((2, 3)))
