"""A policy that reads a network and edits it: one decision is taken anew, and which option it gets.

The network is read decision by decision by an LSTM in both directions; every option of every decision has a logit, and
one edit is drawn from the softmax of all that are allowed. Learned by REINFORCE (Williams, 1992) with a moving baseline
and an entropy bonus. Ours: all sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.spaces.decisions import Code, DecisionSpace

Edit = tuple[int, int]
"""A decision, and the option it gets."""


@dataclass(frozen=True)
class Learning:
    """How the policy learns.

    Attributes:
        width: of the LSTM, each direction, and of what stands for an option.
        lr: Adam's learning rate.
        momentum: of the moving average of rewards that is the baseline.
        entropy: weight of the bonus.
    """

    width: int = 32
    lr: float = 0.01
    momentum: float = 0.9
    entropy: float = 0.01


class Reader(nn.Module):
    """From codes to a logit of every option: (codes, decisions, most options of one)."""

    def __init__(self, options: Sequence[int], width: int, generator: torch.Generator) -> None:
        super().__init__()
        starts = torch.tensor([0, *options[:-1]]).cumsum(0)
        self.register_buffer("starts", starts)
        self.embedding = nn.Embedding(sum(options) + 1, width)
        self.undecided = sum(options)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * width, max(options))
        self.place = nn.Parameter(torch.empty(len(options), max(options)))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-0.1, 0.1, generator=generator)

    starts: Tensor

    def forward(self, codes: Tensor, grown: int) -> Tensor:
        read = codes + self.starts
        read[:, grown:] = self.undecided
        states, _ = self.lstm(self.embedding(read))
        logits: Tensor = self.head(states) + self.place
        return logits


class EditPolicy:
    """Edits of the first `grown` decisions; no edit leaves a network as it is."""

    def __init__(self, space: DecisionSpace, learning: Learning, generator: torch.Generator) -> None:
        self.options = [len(decision.options) for decision in space.decisions()]
        self.learning, self.generator = learning, generator
        self.reader = Reader(self.options, learning.width, generator)
        self.optimiser = torch.optim.Adam(self.reader.parameters(), lr=learning.lr)
        self.numerator = self.denominator = 0.0
        self.there = torch.arange(max(self.options)) < torch.tensor(self.options)[:, None]

    def log_probabilities(self, code: Code, grown: int) -> Tensor:
        """(decisions, most options): of every edit; minus infinity where there is none."""
        allowed = self.there.clone()
        allowed[grown:] = False
        allowed[torch.arange(len(code)), torch.tensor(code)] = False
        logits = self.reader(torch.tensor([code]), grown)[0].masked_fill(~allowed, -torch.inf)
        return logits.flatten().log_softmax(0).reshape(logits.shape)

    def draw(self, code: Code, grown: int, count: int) -> list[Edit]:
        """`count` independent edits."""
        with torch.no_grad():
            probabilities = self.log_probabilities(code, grown).exp().flatten()
        drawn = torch.multinomial(probabilities, count, replacement=True, generator=self.generator)
        return [divmod(number, max(self.options)) for number in drawn.tolist()]

    def learn(self, told: Sequence[tuple[Code, int, Edit, float]]) -> None:
        """One update for several edits: the network each was made in, what of it was grown, the edit, its reward."""
        with torch.enable_grad():
            loss = torch.zeros(())
            for code, grown, (place, option), reward in told:
                found = self.log_probabilities(code, grown)
                kept = found[found.isfinite()]
                entropy = -(kept.exp() * kept).sum()
                loss = loss - self.advantage(reward) * found[place, option] - self.learning.entropy * entropy
            self.optimiser.zero_grad()
            (loss / len(told)).backward()
            self.optimiser.step()

    def advantage(self, reward: float) -> float:
        """Over the moving average of the rewards before; of the first reward nothing."""
        momentum = self.learning.momentum
        before = self.numerator / self.denominator if self.denominator else reward
        self.numerator = momentum * self.numerator + (1 - momentum) * reward
        self.denominator = momentum * self.denominator + (1 - momentum)
        return reward - before
