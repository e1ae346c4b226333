"""The general cell of docs/cells.md written down naively: one function from a state dict to logits, evaluation mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class Weights:
    """Parameters and statistics below a prefix, and the operations they are used in."""

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str) -> None:
        self.tensors, self.prefix = tensors, prefix

    def of(self, place: object) -> dict[str, Tensor]:
        start = f"{self.prefix}.{place}."
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}

    def conv(self, place: object, x: Tensor, **options: Any) -> Tensor:
        return F.conv2d(x, self.of(place)["weight"], **options)

    def norm(self, place: object, x: Tensor) -> Tensor:
        own = self.of(place)
        scale = own.get("weight", torch.ones_like(own["running_var"])) / (own["running_var"] + 1e-5).sqrt()
        shift = own.get("bias", torch.zeros_like(scale)) - own["running_mean"] * scale
        return x * scale[:, None, None] + shift[:, None, None]


def factorized(w: Weights, x: Tensor) -> Tensor:
    x = x.relu()
    halves = [w.conv("conv_1", x, stride=2), w.conv("conv_2", x[:, :, 1:, 1:], stride=2)]
    return w.norm("bn", torch.cat(halves, 1))


def operation(name: str, w: Weights, x: Tensor, stride: int, pool_norm: str) -> Tensor:
    if name == "none":
        return torch.zeros_like(x[:, :, ::stride, ::stride])
    if name == "skip_connect":
        return x if stride == 1 else factorized(w, x)
    k = int(name[-1])
    if name.startswith("max_pool"):
        x = F.max_pool2d(x, k, stride, k // 2)
        return x if pool_norm == "none" else w.norm(1, x)
    if name.startswith("avg_pool"):
        ones = F.avg_pool2d(torch.ones_like(x), k, stride, k // 2)
        x = F.avg_pool2d(x, k, stride, k // 2) / ones  # the average over pixels of the image
        return x if pool_norm == "none" else w.norm(1, x)
    c = x.shape[1]
    if name.startswith("sep_conv"):
        x = w.norm(3, w.conv(2, w.conv(1, x.relu(), stride=stride, padding=k // 2, groups=c)))
        return w.norm(7, w.conv(6, w.conv(5, x.relu(), padding=k // 2, groups=c)))
    if name.startswith("dil_conv"):
        return w.norm(3, w.conv(2, w.conv(1, x.relu(), stride=stride, padding=k - 1, dilation=2, groups=c)))
    if name.startswith("nor_conv"):
        return w.norm(2, w.conv(1, x.relu(), stride=stride, padding=k // 2))
    groups = 8 if name.startswith("group_conv") else 1
    x = w.conv(1, x.relu(), stride=(1, stride), padding=(0, k // 2), groups=groups)
    x = w.norm(3, w.conv(2, x, stride=(stride, 1), padding=(k // 2, 0), groups=groups))
    return w.norm(6, w.conv(5, x.relu())) if groups == 8 else x


def preprocess(w: Weights, x: Tensor, reduced: str) -> Tensor:
    if reduced == "factorized":
        return factorized(w, x)
    return w.norm(2, w.conv(1, x.relu(), stride=2 if reduced else 1))


def cell_output(
    cell: Mapping[str, Any],
    conventions: Mapping[str, Any],
    w: Weights,
    inputs: list[Tensor],
    reduction: bool,
    after: bool,
) -> Tensor:
    states = {
        0: preprocess(Weights(w.tensors, f"{w.prefix}.preprocess0"), inputs[0], after and conventions["reduced_input"]),
        1: preprocess(Weights(w.tensors, f"{w.prefix}.preprocess1"), inputs[1], ""),
    }
    live, built = {0, 1}, []
    for node in range(2, 12):
        if any(to == node and source in live for _, source, to in cell["edges"]):
            live.add(node)
    for edge in cell["edges"]:
        if edge[1] in live:
            built.append(edge)
    for node in sorted(live - {0, 1}):
        values = [
            operation(
                name,
                Weights(w.tensors, f"{w.prefix}.operations.{n}"),
                states[source],
                2 if reduction and source < 2 else 1,
                conventions["pool_norm"],
            )
            for n, (name, source, to) in enumerate(built)
            if to == node
        ]
        states[node] = torch.stack(values).sum(0)
    joined = []
    for state in cell["concat"]:
        if reduction and state < 2:
            joined.append(factorized(Weights(w.tensors, f"{w.prefix}.operations.{len(built)}"), states[state]))
            built.append(("skip_connect", state, -1))
        elif state in live:
            joined.append(states[state])
    return torch.cat(joined, 1)


def logits(genotype: Mapping[str, Any], tensors: Mapping[str, Tensor], images: Tensor, cells: int) -> Tensor:
    """CIFAR network; tensors by the names of the built network's state dict."""
    stem = Weights(tensors, "stem")
    x = stem.norm(1, stem.conv(0, images, padding=1))
    inputs, after = [x, x], False
    for index in range(cells):
        reduction = index in (cells // 3, 2 * cells // 3)
        cell = genotype["reduce" if reduction else "normal"]
        weights = Weights(tensors, f"cells.{index}")
        inputs = [inputs[1], cell_output(cell, genotype["conventions"], weights, inputs, reduction, after)]
        after = reduction
    return F.linear(inputs[1].mean((2, 3)), tensors["classifier.weight"], tensors["classifier.bias"])
