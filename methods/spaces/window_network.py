"""A trained network with windows over its widths and gates on its blocks, which can be given other windows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from methods.parts.gates import Logits, Sampler
from methods.parts.windows import Windows
from methods.spaces.base import NetworkSettings
from methods.spaces.elastic import Selected
from methods.spaces.inherited_widths import inherited
from methods.spaces.width_space import WidthSpace
from methods.spaces.widths import Widths

OPTIONS = 3
"""Of a window at most."""


class WindowNetwork(nn.Module):
    """`forward(images)` runs the most likely network, sliced; with `draw`'s gates one that was drawn, masked.

    Attributes:
        windows: their options are what is chosen among.
        elastic: every network of the windows, on one set of weights.
        names: of the widths that are chosen, the rows of `alphas`.
        removable: those of them that are insides of blocks that can go, the rows of `betas`.
        alphas: (widths, 3), the logits of each window's options; of no account where a window has fewer.
        betas: (blocks,), the logit of each block's being there.
    """

    branches_on_host = True
    """Noise of the draws is made on the host, which a recorded step would not make anew."""
    there: Tensor
    """(widths, options): whether a window has that option."""

    def __init__(self, space: WidthSpace, windows: Windows, num_classes: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.space, self.num_classes, self.settings = space, num_classes, settings
        self._enter(windows)

    def _enter(self, windows: Windows) -> None:
        self.windows = windows
        self.grid = windows.grid(self.space.can_be_empty)
        self.elastic = self.space.elastic(self.num_classes, self.settings, self.grid)
        by_name = windows.by_name()
        self.names = tuple(by_name)
        values = {each.name: each.values for each in self.elastic.choices}
        self.removable = tuple(name for name in self.names if values[name][0] == 0)
        self.fixed = {each.name: each.largest for each in self.elastic.choices if each.name not in by_name}
        there = torch.tensor([[n < len(by_name[name].values) for n in range(OPTIONS)] for name in self.names])
        self.register_buffer("there", there, persistent=False)
        self.alphas = nn.Parameter(torch.zeros(len(self.names), OPTIONS))
        self.betas = nn.Parameter(torch.zeros(len(self.removable)))

    def weights(self) -> dict[str, nn.Parameter]:
        """By their names in the network."""
        return dict(self.elastic.network.named_parameters())

    @property
    def largest(self) -> Widths:
        """Of the network that all weights together are."""
        return self.grid.picked({})

    def become(self, windows: Windows, presence: float) -> Widths:
        """Have these windows. What is larger computes the same at first (`methods.spaces.inherited_widths`).

        New weights come from torch's global generator. Logits of a window that is as it was stay, others begin anew.

        Args:
            presence: the logit of a new block.

        Returns:
            What `largest` was.
        """
        before, device = self.largest, self.alphas.device
        state, alphas, betas = self.elastic.network.state_dict(), self.rows(self.alphas), self.gates(self.betas)
        known = self.windows.by_name()
        self._enter(windows)
        network = self.elastic.network
        network.load_state_dict(inherited(self.space, before, self.largest, state, network.state_dict()))
        with torch.no_grad():
            for name, row in self.rows(self.alphas).items():
                if known.get(name) == windows.by_name()[name]:
                    row.copy_(alphas[name])
            for name, gate in self.gates(self.betas).items():
                gate.copy_(betas[name]) if name in betas else gate.fill_(presence)
        self.to(device)
        return before

    def restore(self, windows: Windows, tensors: Mapping[str, Tensor]) -> None:
        """Be what gave this state dict with these windows."""
        device = self.alphas.device
        self._enter(windows)
        self.to(device)
        self.load_state_dict(tensors)

    def rows(self, tensor: Tensor) -> dict[str, Tensor]:
        """Of a tensor as `alphas`, by name; views."""
        return dict(zip(self.names, tensor.detach(), strict=True))

    def gates(self, tensor: Tensor) -> dict[str, Tensor]:
        """Of a tensor as `betas`, by name; views."""
        return dict(zip(self.removable, tensor.detach(), strict=True))

    def logits(self) -> tuple[Logits, Logits]:
        """Of the windows (widths, 3), and of blocks: away or there (blocks, 2)."""
        widths = self.alphas.masked_fill(~self.there, -torch.inf)
        blocks = torch.stack([torch.zeros_like(self.betas), self.betas], dim=1)
        return Logits(widths, widths.new_ones(len(widths))), Logits(blocks, blocks.new_ones(len(blocks)))

    def draw(self, sampler: Sampler) -> dict[str, Tensor]:
        """Gates of every choice, one forward pass's."""
        widths, blocks = self.logits()
        return self._joined(sampler(widths).options, sampler(blocks).options[:, 1] if self.removable else self.betas)

    def probabilities(self) -> dict[str, Tensor]:
        """Of the options of every choice, with a gradient."""
        fixed = {name: self.alphas.new_ones(1) for name in self.fixed}
        return self._joined(self.logits()[0].options.softmax(dim=1), self.betas.sigmoid()) | fixed

    def _joined(self, widths: Tensor, blocks: Tensor) -> dict[str, Tensor]:
        """By name; the first option of a block that can go is that it is not there."""
        by_name = self.windows.by_name()
        found = {name: row[: len(by_name[name].values)] for name, row in zip(self.names, widths, strict=True)}
        for name, gate in zip(self.removable, blocks, strict=True):
            found[name] = torch.cat([(1 - gate)[None], gate * found[name]])
        return found

    def likely(self) -> dict[str, int]:
        """The channels that each width would have now; 0 for a block that would go."""
        found, by_name = {}, self.windows.by_name()
        alphas, betas = self.rows(self.alphas), self.gates(self.betas)
        for name in self.names:
            options = by_name[name].values
            gone = name in betas and float(betas[name]) < 0
            found[name] = 0 if gone else options[int(alphas[name][: len(options)].argmax())]
        return found

    def forward(self, images: Tensor, selected: Selected | None = None) -> Tensor:
        if selected is None:
            selected = self.elastic.grid.options(self.windows.picked(self.likely()))
        return self.elastic(images, {**selected, **self.fixed})
