"""The sandwich rule: in each step the largest network, the smallest and some between them (Yu and Huang, ICCV 2019).

A network is given by an option of every choice of an elastic network. One width holds for a whole network, the nearest
option of each choice to that share of its largest; or every choice has a width of its own, as where networks are
slimmed layer by layer (AutoSlim). A block is never left out: networks are slimmed, not shortened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch

from methods.spaces.widths import RESOLUTION, Choice

Options = dict[str, int]
"""By the name of each choice, its option."""


@dataclass
class Sandwich:
    """Attributes:
    choices: of an elastic network, the resolution among them.
    generator: what is drawn comes from here.
    drawn: networks of a step beside the largest and the smallest.
    least: the smallest width, as a share of the largest.
    apart: every choice has a width of its own.
    resolutions: pixels of 32 that are drawn, for all networks but the largest; it has the largest of them.
    """

    choices: Sequence[Choice]
    generator: torch.Generator
    drawn: int = 2
    least: float = 0.25
    apart: bool = False
    resolutions: Sequence[int] = (32,)

    def __post_init__(self) -> None:
        self.widths = [each for each in self.choices if each.name != RESOLUTION]
        values = next(each.values for each in self.choices if each.name == RESOLUTION)
        self.seen = sorted(values.index(pixels) for pixels in self.resolutions)

    def __call__(self) -> list[Options]:
        """The networks of a step, the largest first; one that is the largest again, its own teacher, is left out."""
        narrow = [self.at(self.least), *(self._draw() for _ in range(self.drawn))]
        networks = [{**widths, RESOLUTION: self._resolution()} for widths in narrow]
        return [self.largest, *(each for each in networks if each != self.largest)]

    @property
    def largest(self) -> Options:
        return {**self.at(1.0), RESOLUTION: self.seen[-1]}

    @property
    def smallest(self) -> Options:
        """At the resolution of the largest."""
        return {**self.at(self.least), RESOLUTION: self.seen[-1]}

    def at(self, width: float) -> Options:
        """The options of all widths, nearest to a share of the largest."""
        return {each.name: each.nearest(width) for each in self.widths}

    def grid(self) -> list[Options]:
        """Every network of one width, at every resolution: the widest at the highest resolution first."""
        marks = {self.least, 1.0}
        for each in self.widths:
            there = [value for value in each.values if value]
            middles = ((low + high) / 2 / there[-1] for low, high in pairwise(there))
            marks |= {middle for middle in middles if self.least < middle < 1.0}
        ends = sorted(marks)
        inside = [(low + high) / 2 for low, high in pairwise(ends)]
        found = [self.at(width) for width in (self.least, *inside, 1.0)]
        distinct = [widths for number, widths in enumerate(found) if widths not in found[:number]]
        return [{**widths, RESOLUTION: seen} for widths, seen in product(reversed(distinct), reversed(self.seen))]

    def narrower(self, options: Options) -> Iterator[Options]:
        """What is one option narrower in one choice, in the order of choices."""
        floor = self.at(self.least)
        for each in self.widths:
            if options[each.name] > floor[each.name]:
                yield {**options, each.name: options[each.name] - 1}

    def _draw(self) -> Options:
        if self.apart:
            return {each.name: each.nearest(self._width()) for each in self.widths}
        return self.at(self._width())

    def _width(self) -> float:
        share = torch.rand((), generator=self.generator, dtype=torch.float64).item()
        return self.least + (1.0 - self.least) * share

    def _resolution(self) -> int:
        if len(self.seen) == 1:
            return self.seen[0]
        return self.seen[int(torch.randint(len(self.seen), (), generator=self.generator))]
