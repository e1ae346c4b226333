"""From the batched layout of `methods.parts.mixture` to the oracle's one tensor for every edge and candidate."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from methods.spaces.cell import EDGES
from methods.spaces.operations import OPERATIONS

_BATCHED = re.compile(r"cells\.(\d+)\.sources\.(\d)\.(?:mixture\.)?(first|second|dilated|pools|reduce)\.(.+)")
_PLACE = {
    ("first", "depthwise"): "1.weight",
    ("first", "pointwise"): "2.weight",
    ("first", "norm"): "3",
    ("second", "depthwise"): "5.weight",
    ("second", "pointwise"): "6.weight",
    ("second", "norm"): "7",
    ("dilated", "depthwise"): "1.weight",
    ("dilated", "pointwise"): "2.weight",
    ("dilated", "norm"): "3",
    ("reduce", "even"): "conv_1.weight",
    ("reduce", "odd"): "conv_2.weight",
    ("reduce", "norm"): "bn",
    ("pools", "1"): "1",
}


def per_edge(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters, gradients or running statistics by the oracle's names; architecture parameters are left out."""
    result = {}
    for name, tensor in tensors.items():
        match = _BATCHED.fullmatch(name)
        if match is None:
            if not name.startswith("parameterisation."):
                result[name] = tensor
            continue
        if name.endswith("num_batches_tracked"):
            continue
        cell, source, stage, rest = match.groups()
        operation, leaf = ("skip_connect", rest) if stage == "reduce" else rest.split(".", 1)
        leaf, _, statistic = leaf.partition(".")
        rows = [row for row, edge in enumerate(EDGES) if edge[0] == int(source)]
        parts = [tensor] * len(rows) if stage == "pools" else tensor.chunk(len(rows))
        for row, part in zip(rows, parts, strict=True):
            if leaf in ("pointwise", "even", "odd"):
                part = part[0, :, :, None, None]
            place = f"cells.{cell}.edges.{row}.operations.{OPERATIONS.index(operation)}.{_PLACE[stage, leaf]}"
            result[place + (f".{statistic}" if statistic else "")] = part
    return result
