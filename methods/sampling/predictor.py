"""A predictor of scores from codes: an ensemble of small perceptrons, each fitted to a part of what is known.

A code is read option by option: a categorical decision one-hot, an ordered one by the steps below it, a subset by its
items. All members are computed at once; member k leaves out every `members`-th network (Liu et al., ECCV 2018, section
3.4: each of five is fitted to four fifths), and the prediction is their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.domain import MethodError
from methods.spaces.decisions import Code, Decision, DecisionSpace, SubsetDecision

MOST_OPTIONS = 1000
"""Of one decision: a predictor has a row of numbers for each."""


def refuse_wide(method: str, name: str, space: DecisionSpace) -> None:
    """Raises MethodError for a space with a decision of more options than a predictor reads."""
    for decision in space.decisions():
        if len(decision.options) > MOST_OPTIONS:
            raise MethodError(
                f"space is '{name}': its decision '{decision.name}' has {len(decision.options)} options, and {method} "
                f"predicts a score for each; it takes spaces of at most {MOST_OPTIONS} a decision"
            )


class Encoder:
    """From codes to what a predictor reads."""

    def __init__(self, space: DecisionSpace) -> None:
        self.tables = [_rows(decision) for decision in space.decisions()]

    @property
    def size(self) -> int:
        return sum(table.shape[1] for table in self.tables)

    def __call__(self, codes: Sequence[Code]) -> Tensor:
        """(codes, size), float32."""
        options = torch.tensor(codes, dtype=torch.long).reshape(len(codes), len(self.tables))
        return torch.cat([table[options[:, place]] for place, table in enumerate(self.tables)], dim=1)


def _rows(decision: Decision) -> Tensor:
    """What is read of each option, (options, numbers)."""
    count = len(decision.options)
    if isinstance(decision, SubsetDecision):
        bits = torch.arange(count) + decision.options.smallest
        return (bits[:, None] >> torch.arange(len(decision.options.items)) & 1).float()
    return torch.ones(count, count).tril(-1)[:, :-1] if decision.ordered else torch.eye(count)


@dataclass(frozen=True)
class Fit:
    """How a predictor is made.

    Attributes:
        members: perceptrons, each with one hidden layer.
        width: hidden units.
        steps: of Adam, each on all that is known.
    """

    members: int = 5
    width: int = 64
    steps: int = 120
    lr: float = 0.01
    decay: float = 1e-4


class Ensemble(nn.Module):
    """`forward` takes what an `Encoder` gives, (n, size), and gives the members' predictions, (members, n)."""

    def __init__(self, size: int, fit: Fit, generator: torch.Generator) -> None:
        super().__init__()

        def uniform(*shape: int, inputs: int) -> nn.Parameter:
            """As `nn.Linear` starts."""
            bound = inputs**-0.5
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))

        m, h = fit.members, fit.width
        self.into, self.bias = uniform(m, size, h, inputs=size), uniform(m, 1, h, inputs=size)
        self.out, self.level = uniform(m, h, 1, inputs=h), uniform(m, 1, 1, inputs=h)

    def forward(self, read: Tensor) -> Tensor:
        hidden = torch.baddbmm(self.bias, read.expand(len(self.into), *read.shape), self.into).relu()
        return torch.baddbmm(self.level, hidden, self.out).squeeze(-1)


class Predictor:
    """Fitted once; another level has another one."""

    def __init__(
        self, encoder: Encoder, known: Sequence[tuple[Code, float]], fit: Fit, generator: torch.Generator
    ) -> None:
        """Fit to known scores, at least two, standardised; the error is absolute: failed networks do not rule."""
        self.encoder = encoder
        read = encoder([code for code, _ in known])
        scores = torch.tensor([score for _, score in known], dtype=torch.float64)
        self.mean, self.deviation = float(scores.mean()), max(float(scores.std()), 1e-6)
        target = ((scores - self.mean) / self.deviation).float()
        self.ensemble = Ensemble(encoder.size, fit, generator)
        left_out = torch.randperm(len(known), generator=generator) % fit.members
        counts = (left_out != torch.arange(fit.members)[:, None]).float()
        optimiser = torch.optim.Adam(self.ensemble.parameters(), lr=fit.lr, weight_decay=fit.decay, fused=True)
        with torch.enable_grad():
            for _ in range(fit.steps):
                optimiser.zero_grad()
                ((self.ensemble(read) - target).abs() * counts).sum().div(len(known)).backward()
                optimiser.step()

    def __call__(self, codes: Sequence[Code]) -> list[float]:
        """Predicted scores."""
        with torch.no_grad():
            found = self.ensemble(self.encoder(codes)).mean(dim=0)
        return (self.mean + self.deviation * found.double()).tolist()
