"""MGAS by the book: every operation on its own, every filter and weight mask in a plain loop.

Reads the parameters of a `methods.gradient.mgas.cells.supernet.CellSupernet`, shares no computation with it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EDGES = [(s, n) for n in range(2, 6) for s in range(n)]
OPERATIONS = ["skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5", "avg", "max"]


def derivative(u: Tensor) -> Tensor:
    a = u.abs()
    return torch.where(a <= 0.4, 2 - 4 * a, torch.where(a <= 1.0, torch.full_like(a, 0.4), torch.zeros_like(a)))


def step(u: Tensor) -> Tensor:
    """1 where u > 0, with the long-tailed derivative, by the straight-through identity."""
    hard = (u > 0).float()
    return hard + derivative(u).detach() * (u - u.detach())


def batch_norm(x: Tensor, norm: torch.nn.Module) -> Tensor:
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    var = x.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]


def gate(x: Tensor, norm: torch.nn.Module, threshold: Tensor | None) -> Tensor:
    """Multiply filter c by q_c m_c, one filter at a time."""
    planes = []
    for c in range(x.shape[1]):
        q = torch.sigmoid(norm.kappa[c])
        m = norm.mask[c].float()
        if threshold is not None:
            m = m * step(q - threshold)
        planes.append(x[:, c] * q * m)
    return torch.stack(planes, dim=1)


def weight(conv: torch.nn.Module, threshold: Tensor) -> Tensor:
    return conv.weight * conv.mask * step(conv.weight.abs() - threshold)


def factorised(x: Tensor, module: torch.nn.Module) -> Tensor:
    first = F.conv2d(x, module.conv_1["weight"], stride=2)
    return torch.cat([first, F.conv2d(x[:, :, 1:, 1:], module.conv_2["weight"], stride=2)], dim=1)


def operation(cell, edge: int, op: int, x: Tensor) -> Tensor:
    source, _ = EDGES[edge]
    stride = 2 if cell.reduction and source < 2 else 1
    name = OPERATIONS[op]
    if name == "avg":
        return F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    if name == "max":
        return F.max_pool2d(x, 3, stride, 1)
    module = cell.operation((edge, op))
    if name == "skip_connect":
        if stride == 1:
            return x
        made = factorised(F.relu(x), module)
        if cell.switches.reduction_gate == "before":
            return batch_norm(gate(made, module.norm, None), module.norm)
        return gate(batch_norm(made, module.norm), module.norm, cell.t_input[source])
    t_filter, t_weight = cell.t_filter[edge, op - 1], cell.t_weight[edge, op - 1]
    kernel, dilation = int(name[-1]), 2 if name.startswith("dil") else 1
    for n, norm in enumerate(module.norms):
        depthwise, pointwise = weight(module.convs[2 * n], t_weight), weight(module.convs[2 * n + 1], t_weight)
        x = F.conv2d(F.relu(x), depthwise, None, stride, dilation * (kernel // 2), dilation, groups=len(depthwise))
        x, stride = gate(batch_norm(F.conv2d(x, pointwise), norm), norm, t_filter), 1
    return x


def last_only_guard(p: Tensor, t: Tensor, committed: Tensor) -> tuple[Tensor, Tensor]:
    """The released scan: masks (14, 7) bool and which of them the guard set, by a running sum over the node."""
    masks, guarded = torch.zeros_like(committed), torch.zeros_like(committed)
    for node in range(2, 6):
        slots = [(e, o) for e in range(14) if EDGES[e][1] == node for o in range(7) if committed[e, o]]
        left = sum(float(p[slot]) for slot in slots)
        for slot in slots:
            if abs(left - float(p[slot])) <= 1e-5:
                masks[slot] = guarded[slot] = True
            elif p[slot] > t[slot]:
                masks[slot] = True
            else:
                left -= float(p[slot])
    return masks, guarded


def strongest_guard(p: Tensor, t: Tensor, committed: Tensor) -> Tensor:
    """Masks when a node that would be empty keeps its operation with the largest gate."""
    masks = committed & (p > t)
    for node in range(2, 6):
        slots = [(e, o) for e in range(14) if EDGES[e][1] == node for o in range(7) if committed[e, o]]
        if not any(masks[slot] for slot in slots):
            masks[max(slots, key=lambda slot: float(p[slot]))] = True
    return masks


def run_cell(cell, s0: Tensor, s1: Tensor) -> Tensor:
    from methods.gradient.mgas.cells.operations import Reduction

    states = []
    for n, (x, layer) in enumerate(((s0, cell.preprocess0), (s1, cell.preprocess1))):
        x = F.relu(x)
        made = factorised(x, layer) if isinstance(layer, Reduction) else F.conv2d(x, layer.conv["weight"])
        states.append(gate(batch_norm(made, layer.norm), layer.norm, cell.t_input[n]))
    committed = cell.operation_mask
    p = torch.sigmoid(cell.alpha) * committed
    if cell.discretisation.guard == "last":
        on, guarded = last_only_guard(p.detach(), cell.t_operation.detach(), committed)
    else:
        on = strongest_guard(p.detach(), cell.t_operation.detach(), committed)
        guarded = on & ~(p.detach() > cell.t_operation.detach())
    for node in range(2, 6):
        total = torch.zeros(())
        for edge, (source, to) in enumerate(EDGES):
            for op in range(7):
                if to != node or not committed[edge, op]:
                    continue
                m = torch.ones(()) if guarded[edge, op] else step(p[edge, op] - cell.t_operation[edge, op])
                total = total + p[edge, op] * m * operation(cell, edge, op, states[source])
        states.append(total)
    return torch.cat(states[2:], dim=1)


def logits(net, images: Tensor) -> Tensor:
    """What a supernet in training mode gives for a batch (CIFAR stem)."""
    before_last = last = net.stem(images)
    for index in range(net.plan.stage_ends[net.stage] + 1):
        before_last, last = last, run_cell(net.cell(index), before_last, last)
    if net.stage < 2:
        return net.heads[net.stage](last)
    return net.classifier(last.mean(dim=(2, 3)))


# -- losses


def node_of(edge: int) -> int:
    return EDGES[edge][1] - 2


def cost(p: Tensor, m: Tensor, published: bool = False) -> Tensor:
    """L_cost of one cell with mu = 0, node by node."""
    total = torch.zeros(())
    for node in range(4):
        edges = [e for e in range(14) if node_of(e) == node]
        counted = [e for e in range(14) if node_of(e) == 1] if published and node >= 2 else edges
        n = sum(int(m[e, o]) for e in counted for o in range(7))
        s = sum(p[e, o] for e in edges for o in range(7))
        for e in edges:
            for o in range(7):
                if m[e, o]:
                    total = total + torch.log(1 + n * p[e, o] / s)
    return total


def operation_cost(cell, edge: int, op: int) -> Tensor:
    """cost_o in millions of weights, with the masks that thresholds give now, filter by filter."""
    name = OPERATIONS[op]
    if name in ("avg", "max"):
        return torch.zeros(())
    if name == "skip_connect":
        width = cell.preprocess0.norm.channels
        return torch.tensor(1e-6 * width**2 if cell.reduction and EDGES[edge][0] < 2 else 0.0)
    module = cell.operation((edge, op))
    t_filter, t_weight = cell.t_filter[edge, op - 1], cell.t_weight[edge, op - 1]
    masks = [conv.mask * step(conv.weight.abs() - t_weight) for conv in module.convs]
    total = masks[0].sum()
    for k, mask in enumerate(masks[1:], start=1):
        norm = module.norms[0 if k < 3 else 1]
        q = torch.sigmoid(norm.kappa)
        m = norm.mask * step(q - t_filter)
        for c in range(len(mask)):
            total = total + mask[c].sum() * m[c] * torch.log(1 + m.sum() * q[c] / q.sum())
    return 1e-6 * total
