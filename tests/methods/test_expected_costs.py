"""Expected costs against the mean over all networks that gates can stand for, in every space whose gates have one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from methods.domain import MethodError
from methods.parts.choices import equal_gates, one_each
from methods.parts.costs.counts import SHAPED, Built, counted
from methods.parts.costs.encodings import encoding_of
from methods.parts.costs.fitted import FittedCost
from methods.parts.costs.predictors import Table
from methods.parts.costs.protocol import Cost
from methods.parts.gates import Gates
from methods.parts.topology import CellTopology
from methods.spaces import NetworkSettings, get_space
from methods.spaces.registry import space_names
from methods.spaces.relaxation import Relaxation
from methods.spaces.supernets import RELAXATIONS
from methods.spaces.width_space import WidthSpace
from methods.spaces.width_supernet import width_relaxation

WIDTHS = [name for name in space_names() if isinstance(get_space(name), WidthSpace)]
EVERY = RELAXATIONS | {name: width_relaxation(name) for name in WIDTHS}
OPEN = 4
"""Decisions of which two options can be taken; all others are certain."""
Rows = dict[str, Tensor]


def cost_of(on: str, relaxed: Relaxation) -> Cost:
    """A count of small networks, or a latency by a table of random numbers."""
    if on != "latency_ms":
        imagenet = "imagenet" in relaxed.space
        built = Built(10, NetworkSettings(stem="imagenet"), 64) if imagenet else Built(10, NetworkSettings(4, 5), 16)
        return counted(on, built, relaxed)
    encoding = encoding_of(relaxed.space, relaxed=relaxed)
    table = Table(encoding.size)
    table.get_buffer("options").copy_(torch.rand(encoding.size, generator=torch.Generator().manual_seed(8)))
    return FittedCost(encoding, table.double().requires_grad_(False), "ms")


def there(relaxed: Relaxation, row: int) -> list[int]:
    """The columns of a decision that a derived architecture can have."""
    names = relaxed.topology.operations
    return [c for c, name in enumerate(names) if name in relaxed.candidates and (row, c) not in relaxed.topology.absent]


def certain(relaxed: Relaxation, generator: torch.Generator) -> Rows:
    """One option of every decision; in cells of two edges into a node, on the first two edges alone."""
    _, decisions, columns = relaxed.topology.shape
    found = {kind: torch.zeros(decisions, columns, dtype=torch.float64) for kind in relaxed.topology.kinds}
    for rows in found.values():
        for row in range(decisions):
            can = there(relaxed, row)
            rows[row, can[int(torch.randint(len(can), (), generator=generator))]] = 1.0
        if relaxed.choices is not one_each:
            assert isinstance(relaxed.topology, CellTopology)
            for node in relaxed.topology.node_numbers:
                rows[relaxed.topology.entering(node)[2:]] = 0.0
    return found


def gates_of(rows: Rows) -> dict[str, Gates]:
    return {kind: Gates(each, torch.ones(len(each), dtype=torch.float64)) for kind, each in rows.items()}


def options(base: Rows, relaxed: Relaxation, generator: torch.Generator) -> Iterator[tuple[dict[str, Gates], list]]:
    """Gates of which every decision takes one option, and (probability, rows) of every network."""
    (kind,), (_, decisions, _) = relaxed.topology.kinds, relaxed.topology.shape
    soft = base[kind].clone()
    for row in torch.randperm(decisions, generator=generator)[:OPEN].tolist():
        can = there(relaxed, row)
        one, other = can[(len(can) - 1) // 2], can[-1]
        p = torch.rand((), generator=generator, dtype=torch.float64)
        soft[row] = 0.0
        soft[row, one] += p
        soft[row, other] += 1 - p
    taken = [row.nonzero().flatten().tolist() for row in soft]
    networks = []
    for code in itertools.product(*taken):
        rows = torch.zeros_like(soft)
        rows[range(decisions), code] = 1.0
        networks.append(((soft * rows).sum(-1).prod().item(), {kind: rows}))
    yield gates_of({kind: soft}), networks


def edges(base: Rows, relaxed: Relaxation, generator: torch.Generator) -> Iterator[tuple[dict[str, Gates], list]]:
    """Gates of cells that keep two edges into a node, drawn one after the other: three edges with two operations each
    lead into one node, in one kind of cell after the other."""
    topology = relaxed.topology
    assert isinstance(topology, CellTopology)
    for kind, node in zip(topology.kinds, itertools.cycle(topology.node_numbers[1:]), strict=False):
        soft, entering = base[kind].clone(), topology.entering(node)
        soft[entering] = 0.0
        pairs = [(row, there(relaxed, row)[column]) for row in entering[:3] for column in (row % 3, -1 - row % 3)]
        for pair in pairs:
            soft[pair] = 0.1 + torch.rand((), generator=generator, dtype=torch.float64)
        networks, total = [], sum(soft[pair].item() for pair in pairs)
        for one, other in itertools.permutations(pairs, 2):
            if one[0] != other[0]:
                rows = base[kind].clone()
                rows[entering] = 0.0
                rows[one] = rows[other] = 1.0
                left = total - soft[one[0]].sum().item()
                networks.append((soft[one].item() / total * soft[other].item() / left, {**base, kind: rows}))
        yield gates_of({**base, kind: soft}), networks


@pytest.mark.parametrize("space", EVERY)
@pytest.mark.parametrize("on", [*SHAPED, "latency_ms"])
def test_the_expected_cost_is_the_mean_over_all_networks(space: str, on: str) -> None:
    relaxed, generator = EVERY[space], torch.Generator().manual_seed(1)
    cost, base = cost_of(on, relaxed), certain(relaxed, generator)
    drawn = options if relaxed.choices is one_each else edges
    for gates, networks in drawn(base, relaxed, generator):
        assert math.fsum(p for p, _ in networks) == pytest.approx(1)
        mean = math.fsum(p * cost.discrete(relaxed.derive(gates_of(rows))) for p, rows in networks)
        assert cost.expected(gates).item() == pytest.approx(mean, rel=1e-6)
        assert len({cost.discrete(relaxed.derive(gates_of(rows))) for _, rows in networks}) > 2


@pytest.mark.parametrize("space", EVERY)
@pytest.mark.parametrize("on", [*SHAPED, "latency_ms"])
def test_its_gradient_is_that_of_finite_differences(space: str, on: str) -> None:
    """Along a random direction of all gates and weights."""
    relaxed, generator, step = EVERY[space], torch.Generator().manual_seed(2), 1e-6
    cost = cost_of(on, relaxed)
    tensors, directions = [], []
    for each in equal_gates(relaxed.topology).values():
        for tensor in (each.options.double(), each.weights.double()):
            spread = 0.5 + torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            tensors.append((tensor * spread).requires_grad_())
            directions.append(torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * (tensor > 0))

    def expected(moved: float) -> Tensor:
        at = [tensor + moved * direction for tensor, direction in zip(tensors, directions, strict=True)]
        pairs = zip(at[::2], at[1::2], strict=True)
        return cost.expected(dict(zip(relaxed.topology.kinds, itertools.starmap(Gates, pairs), strict=True)))

    found = torch.autograd.grad(expected(0.0), tensors, allow_unused=True)
    along = sum((g * d).sum().item() for g, d in zip(found, directions, strict=True) if g is not None)
    by_difference = (expected(step).item() - expected(-step).item()) / (2 * step)
    assert along == pytest.approx(by_difference, rel=1e-5)
    assert along != 0


@pytest.mark.parametrize("space", [name for name in space_names() if name not in (*EVERY, "dlsr")])
def test_where_nothing_is_relaxed_there_is_no_expected_cost_and_it_is_said(space: str) -> None:
    built = Built(10)
    for on in ("params", "macs", "intensity", "bytes_per_mac"):
        with pytest.raises(MethodError, match=r"no gates are of this space: it has no expected \w+"):
            counted(on, built).expected({})
    if space != "general_cell":
        with pytest.raises(MethodError, match=f"{space} has no relaxation: a latency of its gates cannot be predicted"):
            encoding_of(space).expected({})
