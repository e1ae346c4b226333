"""AutoShrink's differentiable twin: a gate on every edge of the complete graph, and a learned threshold. Ours.

It has what AutoShrink has (`methods.sampling.autoshrink`): the same complete graph with the same operations for the
same seed, the same division of images, and the same score, validation accuracy less `weight` points for every power of
ten in MACs. What AutoShrink finds by training children, it finds by gradient in one training:

- One level, as MGAS (arXiv 2310.15074): a batch updates weights, gates and the threshold
  (`methods.spaces.graph.gated`). The loss is cross entropy, `push` exp(-threshold), which raises the threshold (Liu et
  al., Dynamic Sparse Training, ICLR 2020, section 3.3), and `pressure` times log10 of the expected MACs.
- An edge that closed may open again. After every epoch the graph of the open edges is scored with the weights it has,
  and the answer is the best of all epochs, as AutoShrink's is the best of its trajectory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, MethodError, SearchContext, SearchSplit, gradients_of, of_this_search
from methods.domain import check, within
from methods.parts.bilevel import loss_and_sums
from methods.parts.schedule import cosine
from methods.registry import register
from methods.sampling.autoshrink import full_code
from methods.spaces import get_space
from methods.spaces.decisions import sample_code
from methods.spaces.graph.gated import GatedGraph
from methods.spaces.graph.network import network_counts
from methods.spaces.graph.space import GraphSpace
from methods.spaces.graph.structure import Edge


@dataclass(frozen=True)
class AutoShrinkGatesOptions:
    """Attributes:
    space: one of graphs.
    channels: of the supernet's first stage.
    lr, lr_end: SGD's learning rate of the weights, by a cosine over the epochs.
    gate_lr: Adam's, of gates and threshold.
    push: of exp(-threshold) in the loss.
    pressure: of log10 of the expected MACs in the loss.
    weight, reference: of the score by which a graph is chosen: points of accuracy for a power of ten in MACs, and the
        MACs that cost nothing.
    """

    space: str = "graph_8"
    epochs: int = field(default=50, metadata=within("[1, 100000]"))
    batch_size: int = field(default=64, metadata=within("[2, 1000000]"))
    channels: int = field(default=16, metadata=within("[1, 4096]"))
    lr: float = field(default=0.1, metadata=within("[0, inf)"))
    lr_end: float = field(default=0.001, metadata=within("[0, inf)"))
    momentum: float = field(default=0.9, metadata=within("[0, 1)"))
    weight_decay: float = field(default=3e-4, metadata=within("[0, inf)"))
    clip: float = field(default=5.0, metadata=within("(0, inf)"))
    gate_lr: float = field(default=0.01, metadata=within("[0, inf)"))
    push: float = field(default=0.1, metadata=within("[0, inf)"))
    pressure: float = field(default=0.1, metadata=within("[0, inf)"))
    weight: float = field(default=10.0, metadata=within("[0, inf)"))
    reference: float = field(default=1e6, metadata=within("(0, inf)"))

    def __post_init__(self) -> None:
        check(self)
        if not isinstance(get_space(self.space), GraphSpace):
            raise MethodError(f"space is '{self.space}', which has no graphs with gates; take graph_5 or graph_8")


@register(
    "autoshrink_gates",
    special="a gate on every edge of a complete graph and a learned threshold: AutoShrink's differentiable twin (ours)",
    paper="ours; after AutoShrink, arXiv 1911.09251, and MGAS, arXiv 2310.15074",
    space="graph_5, graph_8",
    watched="methods.gradient.watched:AUTOSHRINK_GATES",
)
class AutoShrinkGates(GradientSearch):
    """Attributes:
    best: edges of the best graph so far, and its score; before the first epoch's end None.
    trajectory: of every epoch, the edges left and the score.
    """

    Options = AutoShrinkGatesOptions
    split = SearchSplit(train=0.5, valid=0.5, paired=False)
    supernet: GatedGraph

    def __init__(self, options: AutoShrinkGatesOptions, context: SearchContext) -> None:
        self.options, self.context = options, context
        self.epochs, self.batch_size, self.epoch = options.epochs, options.batch_size, 0
        self.space = get_space(options.space)
        generator = torch.Generator().manual_seed(context.seed)
        code = full_code(self.space.decisions(), sample_code(self.space, generator), generator)
        self.operations: list[str] = list(self.space.decode(code).genotype["operations"])
        self.supernet = GatedGraph(self.operations, context.num_classes, options.channels, context.in_channels)
        o, weights = options, self.supernet.weights()
        self.weight_optimiser = torch.optim.SGD(weights, o.lr, momentum=o.momentum, weight_decay=o.weight_decay)
        self.gate_optimiser = torch.optim.Adam(self.supernet.gates.parameters(), o.gate_lr)
        self.best: tuple[list[Edge], float] | None = None
        self.trajectory: list[tuple[int, float | None]] = []

    def to(self, device: torch.device) -> None:
        super().to(device)
        if device.type == "cuda":
            for optimiser in (self.weight_optimiser, self.gate_optimiser):
                group = optimiser.param_groups[0]
                group["lr"] = torch.tensor(group["lr"], device=device)  # a captured step sees the schedule
            self.gate_optimiser.param_groups[0]["capturable"] = True

    def on_epoch_start(self, epoch: int) -> bool:
        self.epoch = epoch
        group, rate = self.weight_optimiser.param_groups[0], self.options
        now = cosine(epoch, rate.epochs, rate.lr, rate.lr_end)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(now)
        else:
            group["lr"] = now
        return False

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        """One update of weights, gates and threshold by one batch."""
        o = self.options
        loss, sums = loss_and_sums(self.supernet, train_batch)
        if o.push:
            loss = loss + o.push * torch.exp(-self.supernet.gates.threshold)
        if o.pressure:
            loss = loss + o.pressure * self.supernet.expected_macs(self.context.image_size).log10()
        self.weight_optimiser.zero_grad(set_to_none=False)
        self.gate_optimiser.zero_grad(set_to_none=False)
        loss.backward()
        self.average(gradients_of(self.supernet.parameters()))
        torch.nn.utils.clip_grad_norm_(self.supernet.weights(), o.clip)
        self.weight_optimiser.step()
        self.gate_optimiser.step()
        return sums

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Score the graph of the open edges; keep it if it is the best so far."""
        edges, score = list(self.supernet.gates.kept()), None
        macs = self.macs(edges)
        if evaluate is not None:
            score = evaluate()["accuracy"] - self.options.weight * math.log10(macs / self.options.reference)
            if self.best is None or score > self.best[1]:
                self.best = edges, score
        self.trajectory.append((len(edges), score))
        told = {"graph/edges": len(edges), "graph/threshold": self.supernet.gates.threshold.item(), "graph/macs": macs}
        return told | ({} if score is None else {"graph/score": score})

    def macs(self, edges: list[Edge]) -> int:
        """Of the network of these edges, at the size of the search."""
        return network_counts(self.operations, edges, *self.supernet.sizes, self.context.image_size).macs

    def architecture(self) -> Architecture:
        """The best graph of all epochs; the present one where none has a score."""
        edges = self.best[0] if self.best is not None else self.supernet.gates.kept()
        genotype = {"operations": self.operations, "edges": [list(edge) for edge in edges]}
        return Architecture(self.options.space, genotype, provenance=self.provenance())

    def ending(self) -> dict[str, Any]:
        return {
            "edges left, epoch by epoch": [edges for edges, _ in self.trajectory],
            "score, epoch by epoch": [score for _, score in self.trajectory],
        }

    def provenance(self) -> dict[str, Any]:
        return {"method": self.name, "options": asdict(self.options), "seed": self.context.seed, "epoch": self.epoch}

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "operations": self.operations,
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "gate_optimiser": self.gate_optimiser.state_dict(),
            "best": None if self.best is None else [[list(edge) for edge in self.best[0]], self.best[1]],
            "trajectory": [list(each) for each in self.trajectory],
            "epoch": self.epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises MethodError when the state is of another graph."""
        with of_this_search(self.name):
            self.supernet.load_state_dict(state["supernet"])
            self.weight_optimiser.load_state_dict(state["weight_optimiser"])
            self.gate_optimiser.load_state_dict(state["gate_optimiser"])
            self.operations, self.epoch = list(state["operations"]), state["epoch"]
            best = state["best"]
            self.best = None if best is None else ([(source, target) for source, target in best[0]], best[1])
            self.trajectory = [(edges, score) for edges, score in state["trajectory"]]
