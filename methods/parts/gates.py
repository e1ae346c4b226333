"""From architecture parameters to what a supernet multiplies with: logits, a sampler, gates.

A *decision* is one choice among options: an edge of a cell among its operations, a slot of a chain among its blocks.
Logits and gates have a row for every decision and a column for every option; where a decision has fewer options than
there are columns, the logits of the others are minus infinity, and no sampler ever chooses one.

A sampler knows no option and no executor. One that draws (`methods.parts.samplers`) draws when the gates of a forward
pass are made, before any executor runs: an executor may compute twice, and must see the same gates both times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Options = tuple[int, ...]
"""Columns of a decision's options, on the host."""


@dataclass(frozen=True)
class Logits:
    """What a parameterisation says of some decisions.

    Attributes:
        options: (decisions, options), unnormalised log-probabilities; minus infinity where there is no such option.
        weights: (decisions,), the weight of each decision's outcome among those it is summed with, as that of an edge
            among the edges entering a node; 1 where nothing weighs it. No sampler changes it.
    """

    options: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Gates:
    """What an executor multiplies with; the outcome of decision d is `weights[d] * sum_o options[d, o] * o(x_d)`.

    Attributes:
        options: (decisions, options), the weight of each option.
        weights: (decisions,), as of `Logits`.
        chosen: for every decision the one option that is run, known on the host; all others' gates are zero. None: all
            options are run.
        compared: for every decision, options that are run beside the chosen one for the gradients of their gates alone
            (`methods.parts.executors.choice`), and kept no longer than that takes; () for none.
    """

    options: Tensor
    weights: Tensor
    chosen: Options | None = None
    compared: tuple[Options, ...] = ()

    def rows(self, places: Sequence[int], index: Tensor) -> Gates:
        """The gates of some decisions.

        Args:
            places: their rows, on the host.
            index: the same, int64, on the gates' device.
        """
        return Gates(
            self.options.index_select(0, index),
            self.weights.index_select(0, index),
            None if self.chosen is None else tuple(self.chosen[row] for row in places),
            tuple(self.compared[row] for row in places) if self.compared else (),
        )

    def strength(self) -> Tensor:
        """(decisions, options), on the host in float64: an option's gate times its decision's weight, to choose by."""
        return (self.options * self.weights[:, None]).detach().cpu().double()


Sampler = Callable[[Logits], Gates]


def soft(logits: Logits) -> Gates:
    """Every option, weighted by its probability (Liu et al., ICLR 2019, equation 2)."""
    return Gates(logits.options.softmax(dim=-1), logits.weights)


def straight_through(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """One-hot gates, exactly 0 and 1, with the gradient of the probabilities.

    In this order of operations the values are exact: `1 - p` is rounded to what adding p rounds to 1 again, at every p
    (Dong and Yang, CVPR 2019, section 3.2).

    Args:
        probabilities: (decisions, options).
        chosen: (decisions,), int64.
    """
    hard = torch.zeros_like(probabilities).scatter_(-1, chosen[:, None], 1.0)
    return (hard - probabilities.detach()) + probabilities
