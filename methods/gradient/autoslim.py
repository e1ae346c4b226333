"""AutoSlim (Yu and Huang, 2019, arXiv 1903.11728): a slimmable network, slimmed layer by layer down to a budget.

The training is that of universally slimmable networks with a random width of its own for every layer. Then, from the
largest network on, each choice of the space is narrowed by one option in turn, and the one whose narrowing leaves the
best accuracy on the validation part is kept (of equal accuracies the smaller loss, then the first in order), until the
budget is met. Accuracies are of statistics taken anew. The options of a space are the paper's groups of channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from methods.architecture import Architecture
from methods.base import MethodError, Score, SearchContext
from methods.domain import within
from methods.gradient.slimmable import SlimmableOptions, SlimmableSearch
from methods.parts.query_table import Member
from methods.parts.samplers.sandwich import Sandwich
from methods.registry import register


@dataclass(frozen=True)
class AutoSlimOptions(SlimmableOptions):
    """Attributes:
    budgets: MACs to slim to; up to 1 as shares of those of the largest network. Each gives one architecture.
    """

    schedule: Literal["cosine", "linear"] = "linear"
    budgets: tuple[float, ...] = field(default=(0.5,), metadata=within("(0, inf)"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.budgets:
            raise MethodError("budgets names none; give at least one")


@register(
    "autoslim",
    special="a slimmable network, slimmed greedily where it costs least accuracy until a budget of MACs is met",
    paper="Yu and Huang, 2019, arXiv 1903.11728",
    space="chain_s_widths, chain_xs_widths, resnet_widths",
    watched="methods.gradient.watched:SLIMMABLE",
)
class AutoSlim(SlimmableSearch):
    """See `AutoSlimOptions`. The query table is of the whole way down.

    Raises:
        MethodError: a budget below the smallest network.
    """

    Options = AutoSlimOptions

    def __init__(self, options: AutoSlimOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.slimmed: list[Member] = []
        least, most = (self.macs(options) for options in (self.sandwich.smallest, self.sandwich.largest))
        self.budgets = sorted((b * most if b <= 1 else b for b in options.budgets), reverse=True)
        if self.budgets[-1] < least:
            raise MethodError(
                f"budget of {self.budgets[-1]:,.0f} MACs: networks of {options.space} have from {least:,} to {most:,} "
                f"with least={options.least:g}"
            )

    def sampler(self, generator: torch.Generator) -> Sandwich:
        return Sandwich(self.supernet.choices, generator, self.options.drawn, self.options.least, apart=True)

    def choose(self, score: Score) -> None:
        """Slim until the smallest budget is met; the way and where it met each budget are kept."""
        options = self.sandwich.largest
        self.scored, self.slimmed = [self.member(options, score)], []
        for budget in self.budgets:
            while self.scored[-1].macs > budget:
                tried = [(self.member(each, score), each) for each in self.sandwich.narrower(options)]
                best, options = max(tried, key=lambda pair: (pair[0].accuracy, -pair[0].loss))
                self.scored.append(best)
            self.slimmed.append(self.scored[-1])

    def macs(self, options: dict[str, int]) -> int:
        return self.counts(self.supernet.architecture(options)).macs

    def members(self) -> Sequence[Member]:
        """What met each budget."""
        return list({member.architecture: member for member in self.slimmed}.values())

    def architecture(self) -> Architecture:
        """What met the smallest budget; before the choice the largest network."""
        return self.slimmed[-1].architecture if self.slimmed else super().architecture()
