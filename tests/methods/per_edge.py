"""From the batched layout of `methods.parts` to the oracle's one tensor for every edge and candidate."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from methods.parts.parameterisation import Softmax
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.operations import OPERATIONS

_BATCHED = re.compile(
    r"cells\.(\d+)\.sources\.(\d)\.(?:executor\.)?(?:mixture\.)?(first|second|dilated|pools|reduce)\.(.+)"
)
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
        rows = TOPOLOGY.leaving(int(source))
        parts = [tensor] * len(rows) if stage == "pools" else tensor.chunk(len(rows))
        for row, part in zip(rows, parts, strict=True):
            if leaf in ("pointwise", "even", "odd"):
                part = part[0, :, :, None, None]
            place = f"cells.{cell}.edges.{row}.operations.{OPERATIONS.index(operation)}.{_PLACE[stage, leaf]}"
            result[place + (f".{statistic}" if statistic else "")] = part
    return result


def gates_of(parameterisation: Softmax) -> dict[str, tuple[Tensor, Tensor]]:
    """The oracle's gates, written out edge by edge from alpha and, where there is one, beta."""
    result = {}
    for kind in TOPOLOGY.kinds:
        operations = torch.stack([row.exp() / row.exp().sum() for row in parameterisation.alpha[kind]])
        edges = torch.ones(len(TOPOLOGY.edges), dtype=operations.dtype)
        if hasattr(parameterisation, "beta"):
            beta = parameterisation.beta[kind].exp()
            entering = [sum(beta[row] for row in TOPOLOGY.entering(node)) for _, node in TOPOLOGY.edges]
            edges = beta / torch.stack(entering)
        result[kind] = (operations, edges)
    return result
