"""From architecture parameters to what a supernet multiplies with: logits, a sampler, gates.

A sampler knows no operation and no executor. One that draws (Gumbel, a single path) draws when the gates of a forward
pass are made, before any executor runs: an executor may compute twice, and must see the same gates both times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Logits:
    """What a parameterisation says of some edges.

    Attributes:
        operations: (edges, operations), unnormalised log-probabilities of the candidates of each edge.
        edges: (edges,), the weight of each edge among those entering its node; no sampler changes it.
    """

    operations: Tensor
    edges: Tensor


@dataclass(frozen=True)
class Gates:
    """What an executor multiplies with; a node is `sum_e edges[e] * sum_o operations[e, o] * o(x_e)`.

    Attributes:
        operations: (edges, operations), the weight of each candidate operation on its edge.
        edges: (edges,), the weight of each edge among those entering its node.
    """

    operations: Tensor
    edges: Tensor

    def rows(self, index: Tensor) -> Gates:
        """The gates of some edges; `index` holds their rows, int64, on the gates' device."""
        return Gates(self.operations.index_select(0, index), self.edges.index_select(0, index))

    def strength(self) -> Tensor:
        """(edges, operations), on the host in float64: an operation's gate times its edge's, to choose by."""
        return (self.operations * self.edges[:, None]).detach().cpu().double()


Sampler = Callable[[Logits], Gates]


def soft(logits: Logits) -> Gates:
    """Every candidate, weighted by its probability (Liu et al., ICLR 2019, equation 2)."""
    return Gates(logits.operations.softmax(dim=-1), logits.edges)
