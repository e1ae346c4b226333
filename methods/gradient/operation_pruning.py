"""Operation pruning at a fixed ratio: a bilevel search that ends with all but a preset share of the supernet.

Supernet, parameters and steps are those of DARTS. From `arch_start_epoch` on, the operations with the smallest gates
leave at the end of every epoch, by a share that rises linearly to the ratio; the gates of an edge are normalised over
what it has left. What remains at the end is the architecture: any number of operations on an edge and into a node.
Removed operations are still computed, with gate zero: the ratio makes the result small, not the search fast.

The share is one of the network that has all candidates, at the size of the search; a node always keeps its strongest
operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.base import MethodError, SearchContext
from methods.domain import within
from methods.gradient.bilevel_search import BilevelOptions, BilevelSearch, Parts, architecture_gradient, mixed
from methods.parts.counts import module_macs
from methods.parts.gates import Gates, Logits
from methods.parts.parameterisation import Parameterisation, softmax
from methods.registry import register
from methods.spaces import NetworkSettings, build
from methods.spaces.cell.layout import reduction_cells
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.operations import NONE
from methods.spaces.relaxation import Relaxation
from methods.transform.pruning.ratio import depthwise_layers, image_shape

OperationUnit = Literal["operations", "params", "filters", "weights", "macs"]
KINDS, EDGES, OPERATIONS, SHAPE = TOPOLOGY.kinds, TOPOLOGY.edges, TOPOLOGY.operations, TOPOLOGY.shape
"""`SHAPE` is that of everything this file ranks and counts."""
CANDIDATES = torch.tensor([operation != NONE for operation in OPERATIONS])


@dataclass(frozen=True)
class OperationPruningOptions(BilevelOptions):
    """Attributes:
    ratio: fraction to remove, in (0, 1).
    of: its unit: the candidate operations themselves, or a count of the network they make
        (`methods.transform.pruning.ratio`).
    """

    ratio: float = field(default=0.5, metadata=within("(0, 1)"))
    of: OperationUnit = "params"


class Survivors(Parameterisation):
    """The gates of another parameterisation, normalised over the operations that are left; `none` always is."""

    alive: Tensor

    def __init__(self, inner: Parameterisation) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("alive", torch.ones(SHAPE, dtype=torch.bool))

    def logits(self, kind: str) -> Logits:
        return self.inner.logits(kind)

    def gates(self, kind: str) -> Gates:
        gates = self.inner.gates(kind)
        left = gates.options * self.alive[KINDS.index(kind)]
        return Gates(left / left.sum(dim=-1, keepdim=True), gates.weights)


@register(
    "operation_pruning",
    special="a DARTS search that drops the weakest operations epoch by epoch down to a preset share",
    paper="ours; supernet and steps of DARTS, arXiv 1806.09055",
    space="dense_cell",
    watched="methods.gradient.watched:OPERATION_PRUNING",
)
class OperationPruning(BilevelSearch):
    """Searches a normal and a reduction cell of any density; see `OperationPruningOptions`."""

    Options = OperationPruningOptions
    options: OperationPruningOptions
    takes_cost = False

    def __init__(self, options: OperationPruningOptions, context: SearchContext) -> None:
        self.total, self.costs = operation_costs(discrete(everything(), options, context), options, context)
        limit = largest_ratio(self.total, self.costs)
        if options.ratio > limit:
            raise MethodError(
                f"removing {options.ratio:.1%} of {options.of} could leave a node without an operation; with these "
                f"candidates {limit:.1%} is always possible"
            )
        super().__init__(options, context)
        self.survivors = cast(Survivors, self.parameterisation)

    def parts(self, relaxed: Relaxation) -> Parts:
        o = self.options
        return Parts(
            parameterisation=Survivors(softmax(relaxed.topology, o.edge_normalisation)),
            executor=mixed(relaxed, o),
            gradient=architecture_gradient(o),
        )

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Removes this epoch's share; adds `pruning/removed`, the fraction that is gone, to what DARTS logs."""
        first, last = self.options.arch_start_epoch, self.options.epochs
        share = self.options.ratio * max(0, epoch + 1 - first) / (last - first)
        self.survivors.alive.copy_(self._after_removing(share))
        removed = self._removed(self.survivors.alive.cpu())
        return super().on_epoch_end(epoch, evaluate) | {"pruning/removed": removed}

    def derived(self, gates: Mapping[str, Gates]) -> Architecture:
        return self.architecture()

    def architecture(self) -> Architecture:
        """What is left when the whole ratio is removed now, by the present gates."""
        alive = self._after_removing(self.options.ratio)
        size = {"of": self.options.of, "asked": self.options.ratio, "achieved": self._removed(alive)}
        return Architecture("dense_cell", genotype(alive), provenance=self.provenance() | size)

    def _removed(self, alive: Tensor) -> float:
        """Fraction that is gone; exact, since the costs of operations add up."""
        return (self.costs * ~alive).sum().item() / self.total

    def _after_removing(self, share: float) -> Tensor:
        strength = torch.stack([self.survivors.gates(kind).strength() for kind in KINDS])
        return remove_weakest(strength, self.survivors.alive.cpu(), self.costs, share * self.total)


def genotype(alive: Tensor) -> dict[str, Any]:
    """The cells that hold the operations marked in a bool tensor (kinds, edges, operations)."""
    concat = list(TOPOLOGY.node_numbers)
    cells = {}
    for kind, rows in zip(KINDS, alive, strict=True):
        chosen = (rows & CANDIDATES).nonzero().tolist()
        cells[kind] = {"edges": [[OPERATIONS[column], *EDGES[row]] for row, column in chosen], "concat": concat}
    return cells


def everything() -> Architecture:
    """All candidates on all edges."""
    return Architecture("dense_cell", genotype(torch.ones(SHAPE, dtype=torch.bool)))


def discrete(architecture: Architecture, options: BilevelOptions, context: SearchContext) -> nn.Module:
    """The discrete network at the size of the search, on the meta device."""
    settings = NetworkSettings(options.channels, options.cells, stem=context.stem, in_channels=context.in_channels)
    with torch.device("meta"):
        return build(architecture, context.num_classes, settings)


def operation_costs(
    network: nn.Module, options: OperationPruningOptions, context: SearchContext
) -> tuple[float, Tensor]:
    """The size of the network with all candidates, and what each operation (kinds, edges, operations) adds to it.

    In the options' unit, for all cells of a kind together. Widths are fixed, so that these costs add up.
    """
    costs = torch.zeros(SHAPE, dtype=torch.float64)
    if options.of == "operations":
        costs[..., CANDIDATES] = 1
        return float(costs.sum()), costs
    by_layer = _layer_costs(network, options, context)
    places = (torch.ones(SHAPE[1:], dtype=torch.bool) & CANDIDATES).nonzero().tolist()
    for cell in range(options.cells):
        kind = KINDS.index("reduce" if cell in reduction_cells(options.cells) else "normal")
        for n, (row, column) in enumerate(places):
            path = f"cells.{cell}.operations.{n}"
            inside = network.get_submodule(path).named_modules(prefix=path)
            costs[kind, row, column] += sum(by_layer.get(name, 0) for name, _ in inside)
    return float(sum(by_layer.values())), costs


def _layer_costs(network: nn.Module, options: OperationPruningOptions, context: SearchContext) -> Mapping[str, int]:
    """What each layer counts in the options' unit."""
    if options.of == "macs":
        return module_macs(network, image_shape(context))
    if options.of == "params":
        return {name: sum(p.numel() for p in m.parameters(recurse=False)) for name, m in network.named_modules()}
    layers = {name: m.weight for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    if options.of == "weights":
        return {name: weight.numel() for name, weight in layers.items()}
    depthwise = depthwise_layers(network)
    return {name: w.shape[0] for name, w in layers.items() if w.ndim == 4 and name not in depthwise}


def largest_ratio(total: float, costs: Tensor) -> float:
    """The fraction that can be removed whatever the gates: every node keeps its most expensive operation."""
    kept = sum(costs[:, TOPOLOGY.entering(node)].flatten(1).amax(dim=1).sum() for node in TOPOLOGY.node_numbers)
    return float((costs.sum() - kept) / total)


def remove_weakest(strength: Tensor, alive: Tensor, costs: Tensor, amount: float) -> Tensor:
    """Remove the weakest operations until what is gone costs `amount`, or as near to it as one operation allows.

    The strongest operation into every node stays. Where the nearest point of that order misses by over 1 % of all
    costs, one more operation goes out of turn: the one that comes nearest.

    Args:
        strength, alive, costs: (kinds, edges, operations); alive is bool.

    Returns:
        The new `alive`; what was removed stays removed.
    """
    removable = alive & CANDIDATES
    for rows in map(TOPOLOGY.entering, TOPOLOGY.node_numbers):
        for kind in range(len(KINDS)):
            mine = strength[kind, rows].masked_fill(~removable[kind, rows], -1.0)
            edge, operation = divmod(int(mine.argmax()), len(OPERATIONS))
            removable[kind, rows[edge], operation] = False
    places = removable.flatten().nonzero().flatten()
    order = places[strength.flatten()[places].argsort(stable=True)]
    gone = float((costs * ~alive).sum())
    after = gone + torch.cat([torch.zeros(1, dtype=torch.float64), costs.flatten()[order].cumsum(0)])
    count = int((after - amount).abs().argmin())
    if abs(float(after[count]) - amount) > 0.01 * float(costs.sum()):
        count = max(0, int((after <= amount).sum()) - 1)
        rest = order[count:]
        fits = (costs.flatten()[rest] - (amount - after[count])).abs()
        if len(rest) and float(fits.min()) < abs(float(after[count]) - amount):
            order = torch.cat([order[:count], rest[fits.argmin()].view(1)])
            count += 1
    left = alive.flatten().clone()
    left[order[:count]] = False
    return left.view(SHAPE)
