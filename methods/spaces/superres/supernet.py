"""The supernet of the distillation backbone: all operations of a refinement, all earlier blocks as inputs.

One alpha for each refinement, the same in all blocks; one beta for each block that chooses, whose softmax scales what
the earlier blocks give before a 1x1 convolution joins them (DLSR, arXiv 2105.03939, as its released code has it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.parts.discretiser import best_operations, two_strongest
from methods.parts.gates import Gates, Logits
from methods.parts.parameterisation import Parameterisation, Softmax
from methods.parts.topology import SlotTopology
from methods.spaces.relaxation import Supernet
from methods.spaces.superres.layout import CHOOSING, OPERATIONS, REFINEMENTS, genotype_of
from methods.spaces.superres.network import Backbone

REFINED = "refinements"
TOPOLOGY = SlotTopology(REFINED, (OPERATIONS,) * REFINEMENTS, OPERATIONS)
JOINS = {f"block{number}": number - 1 for number in CHOOSING}
"""By choosing block, how many are before it."""
RELAXATIONS = ()
"""None for methods of classifiers."""


class DistillationSoftmax(Softmax):
    """Alpha of the refinements, and beta of each block's inputs; all start as `1e-3 * N(0, 1)` (released code)."""

    def __init__(self) -> None:
        super().__init__(TOPOLOGY)
        self.beta = nn.ParameterDict(
            {name: nn.Parameter(1e-3 * torch.randn(1, inputs)) for name, inputs in JOINS.items()}
        )

    def logits(self, kind: str) -> Logits:
        if kind in self.beta:
            return Logits(self.beta[kind], torch.ones_like(self.beta[kind][:, 0]))
        return super().logits(kind)


class DistillationSupernet(Supernet):
    """Images to images, see `Backbone`.

    Args:
        outputs: values for each pixel that is read.
        executor: channels -> what mixes the operations of a refinement.
    """

    kinds: Sequence[str] = (REFINED, *JOINS)

    def __init__(
        self,
        outputs: int,
        channels: int,
        in_channels: int,
        residual: bool,
        parameterisation: Parameterisation,
        executor: Callable[[int], nn.Module],
    ) -> None:
        super().__init__(parameterisation)
        self.backbone = Backbone(
            channels, in_channels, outputs, list(JOINS.values()), lambda _: executor(channels), residual
        )

    def forward(self, images: Tensor, gates: Mapping[str, Gates] | None = None) -> Tensor:
        found = self.gates() if gates is None else gates
        scales = [found[name].options[0] for name in JOINS]

        def joined(number: int, made: list[Tensor]) -> list[Tensor]:
            return [scale * each for scale, each in zip(scales[number], made, strict=True)]

        return self.backbone.through(images, joined, found[REFINED].options)


def derive(gates: Mapping[str, Gates]) -> Architecture:
    """The strongest operation of each refinement, and the two strongest inputs of each block."""
    inputs = [[column + 1 for column in two_strongest(gates[name])] for name in JOINS]
    return Architecture("dlsr", genotype_of(best_operations(gates[REFINED], TOPOLOGY), inputs))
