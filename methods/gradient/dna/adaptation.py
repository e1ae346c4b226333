"""What DNA works on: a network with windows, its optimisers and budget, and how the search space moves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from methods.base import MethodError, SearchContext
from methods.gradient.dna.optimisers import Optimisers
from methods.gradient.dna.options import DNAOptions
from methods.parts.costs.widths import expected_macs
from methods.parts.windows import Window, Windows, around
from methods.spaces import build
from methods.spaces.inherited_widths import by_scale, inherited
from methods.spaces.restated import as_widths
from methods.spaces.width_space import WidthSpace
from methods.spaces.widths import MOST_BLOCKS, Widths, inside_name
from methods.spaces.window_network import WindowNetwork


@dataclass(frozen=True)
class Move:
    """Attributes:
    moved: widths whose windows have another centre, with both.
    added, removed: blocks, by the names of their insides.
    last: nothing is to be changed any more, and the budget is met.
    """

    moved: dict[str, list[int]] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    last: bool = False


class Adaptation:
    """A trained network with windows, its optimisers, and its budget.

    Raises:
        MethodError: no network was given, or one whose widths cannot be chosen.
    """

    def __init__(self, options: DNAOptions, context: SearchContext) -> None:
        self.options, self.context = options, context
        self.space, self.at_start, trained = _trained(context)
        self.settings = context.start.settings  # type: ignore[union-attr]
        widths = self.at_start
        self.target = float(options.macs or options.ratio * self.macs(widths))
        with drawing(context.seed):
            windows = Windows.of(widths, options.step)
            self.network = WindowNetwork(self.space, windows, context.num_classes, self.settings)
        network = self.network.elastic.network
        network.load_state_dict(inherited(self.space, widths, self.network.largest, trained, network.state_dict()))
        with torch.no_grad():
            self.network.betas.fill_(self.presence)
        self.renew()

    @property
    def presence(self) -> float:
        """The logit of a new block."""
        return math.log(self.options.presence / (1 - self.options.presence))

    def macs(self, widths: Widths) -> int:
        """Of one image."""
        given = self.context.num_classes, self.settings.in_channels, self.context.image_size
        return self.space.counts_of(widths, *given).macs

    def expected(self) -> Tensor:
        """MACs over networks that are drawn, 0-d."""
        return expected_macs(self.layers, self.network.probabilities())

    def watched(self) -> dict[str, float]:
        """Where the network stands, for its epoch."""
        likely = self.network.likely()
        widths = [value for value in likely.values() if value]
        return {
            "dna/expected": float(self.expected().detach()) / self.target,
            "dna/likely": self.macs(self.network.windows.picked(likely)) / self.target,
            "dna/blocks": len(widths) - len(self.network.windows.streams),
            "dna/channels": sum(widths),
            "dna/windows": sum(each.step / each.centre for each in self.network.windows.by_name().values())
            / len(self.network.names),
        }

    # -- steps

    def renew(self) -> None:
        """New optimisers of the network as it is."""
        self.layers = self.network.elastic.layers("macs", self.context.image_size)
        self.optimisers = Optimisers(self.network, self.options)

    # -- moves

    def move(self, seed: int) -> Move:
        """Move the search space by what is likely now; the last move changes nothing.

        Args:
            seed: of new weights.
        """
        net, o = self.network, self.options
        with torch.no_grad():
            probabilities, expected = net.probabilities(), float(self.expected())
        windows, removed = self._without_weak_blocks(net.windows)
        windows, added = self._with_new_blocks(windows, deeper=expected < self.target)
        known = net.windows.by_name()

        def moved(name: str, window: Window) -> Window:
            return window.moved(self._of_window(name, probabilities), o.edge) if name in known else window

        windows = windows.changed(moved)
        changed = {
            name: [known[name].centre, window.centre]
            for name, window in windows.by_name().items()
            if name in known and window.centre != known[name].centre
        }
        near = abs(math.log(expected / self.target)) <= math.log1p(o.tolerance)
        if near and windows == net.windows:
            return Move(last=True)
        if windows != net.windows:
            self._become(windows, seed)
        return Move(changed, added, removed)

    def _of_window(self, name: str, probabilities: Mapping[str, Tensor]) -> list[float]:
        """Of its options, given that its block is there."""
        found = probabilities[name][1:] if name in self.network.removable else probabilities[name]
        return [float(each) for each in found / found.sum()]

    def _without_weak_blocks(self, windows: Windows) -> tuple[Windows, list[str]]:
        gates = self.network.gates(self.network.betas.sigmoid())
        weak = [name for name, gate in gates.items() if float(gate) < self.options.remove]
        return windows.changed(lambda name, window: Window(0) if name in weak else window), weak

    def _with_new_blocks(self, windows: Windows, deeper: bool) -> tuple[Windows, list[str]]:
        """One more in each stage whose last block is sure of its place."""
        gates, added = self.network.gates(self.network.betas.sigmoid()), []
        for stage, blocks in enumerate(self.network.windows.inside) if deeper else ():
            last = max(n for n, window in enumerate(blocks) if window.centre or n == 0)
            gate = gates.get(inside_name(stage, last))
            if gate is None or float(gate) <= self.options.add:
                continue
            found = windows.deepened(stage, around(blocks[last].centre, self.options.step), MOST_BLOCKS)
            if found is not None:
                windows, place = found
                added.append(inside_name(stage, place))
        return windows, added

    def _become(self, windows: Windows, seed: int) -> None:
        """With the momenta of what stays; of what is new they are zero."""
        before, known = self.optimisers, self.network.windows.by_name()
        momenta, averages = before.momenta(), before.averages()
        with drawing(seed):
            largest = self.network.become(windows, self.presence)
        self.renew()
        zeros = {name: torch.zeros_like(weight) for name, weight in self.network.weights().items()}
        kept = {name for name, window in self.network.windows.by_name().items() if known.get(name) == window}
        self.optimisers.inherit(
            inherited(self.space, largest, self.network.largest, momenta, zeros), averages, kept, set(known)
        )

    # -- state

    def state_dict(self) -> dict[str, Any]:
        return {
            "windows": self.network.windows.to_state(),
            "tensors": dict(self.network.state_dict()),
            **self.optimisers.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.network.restore(Windows.from_state(state["windows"]), state["tensors"])
        self.renew()
        self.optimisers.load_state_dict(state)


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """New weights from a seed of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _trained(context: SearchContext) -> tuple[WidthSpace, Widths, dict[str, Tensor]]:
    """The space, the widths and the weights of the network at hand, its channels in order."""
    start = context.start
    if start is None or start.weights is None:
        raise MethodError("dna adapts a trained network, and none was given; name its row with 'of'")
    found = as_widths(start.architecture)
    if found is None:
        raise MethodError(
            "dna adapts dense networks whose widths can be chosen: of resnet_widths, chain_s_widths, chain_xs_widths, "
            "a ResNet with projections, or a chain with kernel 3 everywhere; this one is of "
            f"{start.architecture.space}{' with weight masks' if start.architecture.masks else ''}"
        )
    network = build(start.architecture, context.num_classes, start.settings)
    network.load_state_dict(start.weights)
    return *found, by_scale(network)
