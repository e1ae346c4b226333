"""MGAS in a chain by the book: every block on its own, every inner channel and weight mask in a plain loop.

Reads the parameters of a `methods.gradient.mgas.chains.supernet.ChainSupernet`, shares no computation with it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.oracles.mgas_supernet import batch_norm, gate, step, weight

BLOCKS = [(kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 6)]


def name(op: int) -> str:
    return f"k{BLOCKS[op][0]}e{BLOCKS[op][1]}"


def block(place, op: int, x: Tensor, stride: int) -> Tensor:
    """What one candidate gives, without its own gate."""
    module, t_filter, t_weight = place.operations[name(op)], place.t_filter[0, op], place.t_weight[0, op]
    x = F.conv2d(x, weight(module.expand, t_weight))
    x = batch_norm(x, module.norm1).clamp(0, 6)
    x = F.conv2d(x, weight(module.depthwise, t_weight), None, stride, BLOCKS[op][0] // 2, groups=x.shape[1])
    x = gate(batch_norm(x, module.norm2), module.norm2, t_filter).clamp(0, 6)
    return batch_norm(F.conv2d(x, weight(module.project, t_weight)), module.norm3)


def masks(place, needed: bool) -> list[Tensor | None]:
    """Of the six blocks; None for one that is removed. Where something has to stand and no other block is on, the
    strongest is, whatever its threshold.
    """
    p, gates = torch.sigmoid(place.alpha[0]), place.alpha[0].tolist()
    living = [op for op in range(6) if place.operation_mask[0, op]]
    found = {op: step(p[op] - place.t_operation[0, op]) for op in living}
    if needed:
        strongest = max(living, key=lambda op: gates[op])
        if not any(bool(m) for op, m in found.items() if op != strongest):
            found[strongest] = torch.ones(())
    return [found.get(op) for op in range(6)]


def run_place(place, x: Tensor, c_in: int, c_out: int, stride: int) -> Tensor:
    keeps = c_in == c_out and stride == 1
    total = x if keeps else torch.zeros(())
    for op, m in enumerate(masks(place, not keeps)):
        if m is not None:
            total = total + torch.sigmoid(place.alpha[0, op]) * m * block(place, op, x, stride)
    return total


def logits(net, images: Tensor, stages: list[tuple[int, int, int]], end: int) -> Tensor:
    """What a supernet in training mode gives for a batch.

    Args:
        stages: (width, blocks, stride) of the chain's stages.
        end: last place that is executed.
    """
    frame = net.frame
    x = frame.first.transform(frame.stem(images))
    places = [(width, stride if n == 0 else 1) for width, blocks, stride in stages for n in range(blocks)]
    for index, (width, stride) in enumerate(places[: end + 1]):
        x = run_place(net.cells[index], x, x.shape[1], width, stride)
    last = frame if end + 1 == len(places) else net.heads[net.stage]
    return last.classifier(last.head(x).mean(dim=(2, 3)))


def block_cost(place, op: int) -> Tensor:
    """cost_o in millions of weights: of every inner channel what leads into it, is its own, and leads out of it."""
    if not place.operation_mask[0, op]:
        return torch.zeros(())
    module, t_weight = place.operations[name(op)], place.t_weight[0, op]
    q = torch.sigmoid(module.norm2.kappa)
    m = module.norm2.mask * step(q - place.t_filter[0, op])
    total = torch.zeros(())
    for c in range(len(q)):
        rows = (module.expand, c), (module.depthwise, c)
        kept = sum((conv.mask * step(conv.weight.abs() - t_weight))[row].sum() for conv, row in rows)
        kept = kept + (module.project.mask * step(module.project.weight.abs() - t_weight))[:, c].sum()
        total = total + kept * m[c] * torch.log(1 + m.sum() * q[c] / q.sum())
    return 1e-6 * total
