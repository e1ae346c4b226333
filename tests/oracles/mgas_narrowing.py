"""The released narrowing of MGAS by the book: lists of channel numbers, cell by cell, as its code goes through them.

Reads a `CellSupernet` of MGAS and returns what every tensor of the cells it goes through must be
afterwards. It shares nothing with `narrow` and `slicing` there. Equal ranks: the lower number first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

EDGES = [(s, n) for n in range(2, 6) for s in range(n)]


def best(mask: list[bool], gates: list[float], number: int) -> list[int]:
    """Kept channels with the largest gates; too few of them, and the best removed ones join."""
    kept = [c for c in range(len(mask)) if mask[c]]
    gone = [c for c in range(len(mask)) if not mask[c]]
    by_gate = sorted(kept, key=lambda c: -gates[c])
    more = sorted(gone, key=lambda c: -gates[c])
    return sorted((by_gate + more)[:number])


def halves(norm: Any, number: int) -> tuple[list[int], list[int]]:
    """Channels of both halves of a stride-2 layer, each numbered from zero; the first half's gates rank both."""
    mask, gates = norm.mask.tolist(), torch.sigmoid(norm.kappa.detach()).tolist()
    half = len(mask) // 2
    return best(mask[:half], gates[:half], number // 2), best(mask[half:], gates[:half], number // 2)


def even(number: int) -> int:
    return number + number % 2 if number else 2


def width_of(cell: Any, initial: int) -> int:
    """One width for all six states, from the filters they keep."""
    counts = [even(int(layer.norm.mask.sum())) for layer in (cell.preprocess0, cell.preprocess1)]
    for node in range(2, 6):
        most = 0
        for edge, op in cell.slots:
            if EDGES[edge][1] == node and 1 <= op <= 4:
                most = max(most, int(cell.operation((edge, op)).norms[-1].mask.sum()))
        counts.append(most + most % 2 if most else counts[-1])
    mean = sum(counts) // 6
    mean += mean % 2
    if mean >= initial // 2:
        return mean
    return max(counts) if max(counts) >= initial // 2 else initial // 2


def strongest_columns(weights: list[Tensor], number: int) -> list[int]:
    norms = [sum(float(w[:, c].abs().sum()) for w in weights) for c in range(weights[0].shape[1])]
    return sorted(sorted(range(len(norms)), key=lambda c: -norms[c])[:number])


def anew(prefix: str, scale: Tensor, kappa: Tensor) -> dict[str, Tensor]:
    """A fresh normalisation with only its scale taken over, and a filter mask of ones."""
    count = len(scale)
    return {
        f"{prefix}.weight": scale, f"{prefix}.kappa": kappa, f"{prefix}.bias": torch.zeros(count),
        f"{prefix}.running_mean": torch.zeros(count), f"{prefix}.running_var": torch.ones(count),
        f"{prefix}.mask": torch.ones(count, dtype=torch.bool),
    }  # fmt: skip


def layer(prefix: str, module: Any, columns_number: int, filters_number: int) -> dict[str, Tensor]:
    """A 1x1 layer, or a stride-2 one, whose second half looks its gates and scales up in the wrong places."""
    if not hasattr(module, "conv_1"):
        weight = module.conv["weight"]
        columns = strongest_columns([weight], columns_number)
        gates = torch.sigmoid(module.norm.kappa.detach()).tolist()
        filters = best(module.norm.mask.tolist(), gates, filters_number)
        norm = anew(f"{prefix}.norm", module.norm.weight[filters], module.norm.kappa[filters])
        return {f"{prefix}.conv.weight": weight[filters][:, columns], **norm}
    first, second = halves(module.norm, filters_number)
    columns = strongest_columns([module.conv_1["weight"], module.conv_2["weight"]], columns_number)
    scales = first + [c + len(first) for c in second]
    norm = anew(f"{prefix}.norm", module.norm.weight[scales], module.norm.kappa[first + second])
    return {
        f"{prefix}.conv_1.weight": module.conv_1["weight"][first][:, columns],
        f"{prefix}.conv_2.weight": module.conv_2["weight"][second][:, columns],
        **norm,
    }


def convolution(prefix: str, module: Any, width: int) -> dict[str, Tensor]:
    """A separable or dilated convolution: inputs by the depthwise masks, outputs by their gates."""
    result: dict[str, Tensor] = {}
    masks = [int(m) for m in module.convs[0].mask.flatten(1).sum(1)]
    channels = sorted(sorted(range(len(masks)), key=lambda c: -masks[c])[:width])
    for n, norm in enumerate(module.norms):
        inner = n + 1 < len(module.norms)
        number = max(width, even(int(norm.mask.sum()))) if inner else width
        filters = best(norm.mask.tolist(), torch.sigmoid(norm.kappa.detach()).tolist(), number)
        for name in ("weight", "mask"):
            depthwise, pointwise = (getattr(module.convs[2 * n + k], name) for k in (0, 1))
            result[f"{prefix}.convs.{2 * n}.{name}"] = depthwise[channels]
            result[f"{prefix}.convs.{2 * n + 1}.{name}"] = pointwise[filters][:, channels]
        result |= anew(f"{prefix}.norms.{n}", norm.weight[filters], norm.kappa[filters])
        channels = filters
    return result


@torch.no_grad()
def released(net: Any, cells: range, pinned: int) -> dict[str, Tensor]:
    """Every tensor of some cells after the narrowing; the cell `pinned` feeds a head and keeps its width."""
    result: dict[str, Tensor] = {}
    outputs: list[int] = []
    for index in range(cells.stop):
        cell, initial = net.cell(index), net.plan.width(index)
        width = cell.state_widths[-1] if index == pinned else width_of(cell, initial)
        outputs.append(4 * width)
        for n, module in enumerate((cell.preprocess0, cell.preprocess1)):
            producer = index - 2 + n
            columns = outputs[producer] if producer >= 0 else module.widths[0]
            result |= layer(f"cells.{index}.preprocess{n}", module, columns, width)
        for edge, op in cell.slots:
            module = cell.operation((edge, op))
            prefix = next((name for name, m in net.named_modules() if m is module), "") if module is not None else ""
            if module is not None and 1 <= op <= 4:
                result |= convolution(prefix, module, width)
            elif module is not None:
                result |= layer(prefix, module, width, width)
    return {name: tensor.clone() for name, tensor in result.items()}
