"""The two-path update: two options a decision are drawn, and only their probabilities relative to each other change.

Cai, Zhu and Han, ICLR 2019 (ProxylessNAS), section 3.2 ("sampling two paths") and released code. Two options are drawn
without replacement; one of them is run, by the softmax over the two, the other is compared with it. After the
optimiser's step both logits are shifted alike, so that the probabilities of all other options are what they were.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods.parts.gates import Gates, Logits, straight_through
from methods.parts.samplers.noise import gumbel, perturbed


@dataclass
class TwoPaths:
    """Attributes:
    generator: on the host.
    """

    generator: torch.Generator

    def __call__(self, logits: Logits) -> Gates:
        """`compared` holds the second option of every decision; () where it has no second one."""
        pair = perturbed(logits, self.generator).topk(min(2, logits.options.shape[-1]), dim=-1).indices
        outside = torch.ones_like(logits.options, dtype=torch.bool).scatter_(-1, pair, False)
        left = logits.options.masked_fill(outside, -torch.inf)
        index = (left + gumbel(left, self.generator)).argmax(dim=-1)
        gates = straight_through(left.softmax(dim=-1), index)
        there = left.isfinite()
        there = there.scatter(-1, index[:, None], False)
        second = tuple(tuple(column for column, is_it in enumerate(row) if is_it) for row in there.tolist())
        return Gates(gates, logits.weights, tuple(index.tolist()), second)


def between(logits: Logits, drawn: Gates) -> Gates:
    """How probable each of the two drawn options of every decision is beside the other: their softmax, all others zero,
    with a gradient."""
    there = _drawn(drawn, logits.options)
    return Gates(logits.options.masked_fill(~there, -torch.inf).softmax(dim=-1), logits.weights)


@torch.no_grad()
def keep_the_others(alpha: Tensor, before: Tensor, gates: Gates) -> None:
    """Shift the two updated logits of every decision, in place, by what they gained together.

    Then `sum exp` over the two is what it was, and with it the probability of every other option; the others' logits
    are put back.

    Args:
        alpha: (decisions, options), after the optimiser's step.
        before: a copy from before it.
        gates: those that the step was taken with.
    """
    updated = _drawn(gates, alpha)

    def together(logits: Tensor) -> Tensor:
        return logits.masked_fill(~updated, -torch.inf).logsumexp(dim=-1, keepdim=True)

    alpha.copy_(torch.where(updated, alpha - (together(alpha) - together(before)), before))


def _drawn(gates: Gates, like: Tensor) -> Tensor:
    """Where the two drawn options of every decision stand: of the shape and on the device of a tensor, bool."""
    assert gates.chosen is not None
    there = torch.zeros(like.shape, dtype=torch.bool)
    for row, (chosen, second) in enumerate(zip(gates.chosen, gates.compared, strict=True)):
        there[row, [chosen, *second]] = True
    return there.to(like.device)
