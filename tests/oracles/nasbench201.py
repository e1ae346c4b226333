"""The network of NAS-Bench-201 written down naively: one function from a state dict to logits, evaluation mode."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.oracles.general_cell import Weights


def relu_conv_norm(w: Weights, place: str, x: Tensor, kernel: int, stride: int = 1) -> Tensor:
    return w.norm(f"{place}.2", w.conv(f"{place}.1", x.relu(), stride=stride, padding=kernel // 2))


def edge(w: Weights, number: int, operation: str, x: Tensor) -> Tensor:
    if operation == "none":
        return torch.zeros_like(x)
    if operation == "skip_connect":
        return x
    if operation == "avg_pool_3x3":
        ones = F.pad(torch.ones_like(x), (1, 1, 1, 1))
        return F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1) / F.avg_pool2d(ones, 3, 1)
    return relu_conv_norm(w, f"operations.{number}", x, kernel=int(operation[-1]))


def cell(w: Weights, text: str, x: Tensor) -> Tensor:
    """Straight from the text, part by part."""
    nodes, number = [x], 0
    for part in text.split("+"):
        node = torch.zeros_like(x)
        for entry in part.strip("|").split("|"):
            operation, source = entry.split("~")
            node = node + edge(w, number, operation, nodes[int(source)])
            number += 1
        nodes.append(node)
    return nodes[-1]


def logits(tensors: Mapping[str, Tensor], text: str, cells_per_stage: int, images: Tensor) -> Tensor:
    stem = Weights(tensors, "stem")
    x, place = stem.norm(1, stem.conv(0, images, padding=1)), 0
    for stage in range(3):
        if stage:
            w = Weights(tensors, f"cells.{place}")
            inner = relu_conv_norm(w, "conv_b", relu_conv_norm(w, "conv_a", x, 3, stride=2), 3)
            x = inner + w.conv("shortcut.1", F.avg_pool2d(x, 2))
            place += 1
        for _ in range(cells_per_stage):
            x = cell(Weights(tensors, f"cells.{place}"), text, x)
            place += 1
    x = Weights({f"top.{name}": value for name, value in tensors.items()}, "top").norm("norm", x).relu().mean((2, 3))
    return x @ tensors["classifier.weight"].T + tensors["classifier.bias"]
