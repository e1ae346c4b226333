"""ProxylessNAS: single paths by binary gates, and a step of the architecture every fifth one (Cai et al., ICLR 2019,
arXiv 1812.00332, and its released search, mit-han-lab/proxylessnas).

A step of the architecture (`methods.gradient.proxyless_schedule` says when) draws a path of its own, and either of two
rules says whose probabilities learn:

- `two_paths` (section 3.2): two candidates of every decision are drawn and one is run; only their logits learn, and
  both are shifted so that the probabilities of all others stay.
- `all_paths` (the release's default, `full_v2`): one is run; the backward pass computes all others again, one by one,
  for the gradients of their gates.

Where nothing at all was drawn (Zero), the released code throws the decision's gradient away (`zero: discarded`), so
that a decision learns less the more probable Zero is. The paper's chain rule has no such exception (`zero: kept`).

Latency in the loss is a row's `cost` (docs/costs.md). Its gradient goes the way of the task's, as in the release: with
`two_paths` it is that of the cost expected of the two that were drawn, which says which of both is cheaper (that of all
options says which is cheaper than the mean, and both may be); with `zero: discarded` it goes away with it. In cells an
edge is a decision, shared by the cells of its kind, and cells are derived by the rule of their space; the method was
published for chains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from methods.gradient.path_search import Path
from methods.gradient.proxyless_schedule import Proxyless, ProxylessOptions
from methods.parts.costs.objective import MakeGates
from methods.parts.gates import Gates, Logits
from methods.parts.samplers.two_paths import TwoPaths, between, keep_the_others
from methods.registry import register
from methods.spaces.operations import NOTHING


@dataclass(frozen=True)
class ProxylessNASOptions(ProxylessOptions):
    """Attributes:
    gates: "two_paths" or "all_paths"; see above.
    zero: "kept" or "discarded"; see above.
    """

    gates: Literal["two_paths", "all_paths"] = "two_paths"
    zero: Literal["kept", "discarded"] = "kept"


@register(
    "proxylessnas",
    special="binary gates: one candidate of every decision is run, the architecture learns every fifth step",
    paper="Cai, Zhu and Han, ICLR 2019, arXiv 1812.00332",
    space="darts_cell, nasbench201, chain_s, chain_xs, chain_imagenet",
    watched="methods.gradient.watched:BINARY_GATES",
)
class ProxylessNAS(Proxyless):
    """Multinomial draws, single paths, gradients of the gates; see `ProxylessNASOptions`."""

    Options = ProxylessNASOptions
    options: ProxylessNASOptions

    def to(self, device: torch.device) -> None:
        """Every decision's logits are a parameter of their own for Adam: it leaves alone those without a gradient."""
        super().to(device)
        self.rows = [alpha.detach()[row] for alpha in self.alphas for row in range(len(alpha))]
        self.architecture_optimiser = self.adam(self.rows)

    def paths(self, logits: Logits) -> Sequence[Gates]:
        learns = logits.options.requires_grad and self.options.gates == "two_paths"
        return [TwoPaths(self.generator)(logits)] if learns else super().paths(logits)

    def weighed(self, paths: Sequence[Path]) -> MakeGates | None:
        (path,) = paths
        return partial(self._between, path) if self.options.gates == "two_paths" else None

    def _between(self, path: Path) -> dict[str, Gates]:
        return {kind: between(self.parameterisation.logits(kind), gates) for kind, gates in path.items()}

    def learn(self, paths: Sequence[Path], gradients: Sequence[Tensor]) -> None:
        (path,) = paths
        before = [alpha.detach().clone() for alpha in self.alphas]
        self.set_architecture_gradients(gradients)
        for row, gradient, learns in zip(self.rows, self._by_decision(), self._learning(path), strict=True):
            row.grad = gradient if learns else None
        self.architecture_optimiser.step()
        if self.options.gates == "two_paths":
            for alpha, old, gates in zip(self.alphas, before, path.values(), strict=True):
                keep_the_others(alpha, old, gates)

    def _by_decision(self) -> list[Tensor]:
        return [row for alpha in self.alphas if alpha.grad is not None for row in alpha.grad]

    def _learning(self, path: Path) -> list[bool]:
        """For every decision, whether its gradient is used."""
        names, keeps = self.relaxation.topology.operations, self.options.zero == "kept"
        return [keeps or names[column] not in NOTHING for gates in path.values() for column in gates.chosen or ()]
