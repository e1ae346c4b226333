"""The spaces of chains: MobileNet-like networks in which the block of each place is chosen (ProxylessNAS, ICLR 2019).

Genotype: `{"chain": "k3e6 k5e3 zero | k7e6 ..."}` (`methods.spaces.chain.notation`). A place has one of six blocks,
kernel 3, 5 or 7 and expansion 3 or 6; where the shape stays it may have none, so that the number of blocks is searched,
too. In the dense spaces any subset of the six stands side by side at a place, the empty one where the shape stays.

What is no decision can be built, too: other numbers of blocks in a stage, squeeze-excitation and hard swish, other
expansions, the channels inside of single blocks (`widths`) and another width of everything (`scale: {"channels": ...}`,
those of the stem).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.form import refuse_unknown
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings, SizeMatch
from methods.spaces.chain.counts import Input, network_counts
from methods.spaces.chain.dense_sized import draw_dense_at_size
from methods.spaces.chain.layout import layout, scaled
from methods.spaces.chain.macro import DENSE, MACROS, Macro
from methods.spaces.chain.network import ChainNetwork
from methods.spaces.chain.notation import CANDIDATES, NAMES, Chosen, read_chain, write_chain
from methods.spaces.chain.sized import draw_at_size
from methods.spaces.decisions import (
    Code,
    Decision,
    NonEmptySubsets,
    SubsetDecision,
    Subsets,
    check_code,
    refuse_decided_elsewhere,
    sample,
)
from methods.spaces.plain.resnet import refuse_empty
from methods.spaces.registry import register_space


@register_space("chain_s", "a MobileNet-like chain for 32 pixels: one of 6 inverted residuals, or none, at 11 places")
@register_space("chain_xs", "the same for quick profiles: half as wide, 6 places, images halved by the stem")
@register_space("chain_imagenet", "the mobile chain of ProxylessNAS for ImageNet: 21 places, a stem of stride 2")
@dataclass(frozen=True)
class ChainSpace:
    """Chains with one block at each place, or none."""

    name: str
    draws_at_size = True

    @property
    def macro(self) -> Macro:
        return MACROS[self.name.removeprefix(DENSE)]

    def decisions(self) -> tuple[Decision, ...]:
        """The block of each place, from the stem on."""
        return _decisions(self.macro)

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for a chain with a scale, widths, or a block that no decision offers."""
        refuse_decided_elsewhere(self.name, architecture, "scale", "widths", "masks")
        macro, stages = self.macro, read_chain(architecture.genotype["chain"], len(self.macro.stages))
        if tuple(map(len, stages)) != tuple(stage.blocks for stage in macro.stages):
            raise ArchitectureError(
                f"no code of {self.name} stands for stages of {', '.join(str(len(stage)) for stage in stages)} blocks; "
                f"its have {', '.join(str(stage.blocks) for stage in macro.stages)}"
            )
        places = [chosen for stage in stages for chosen in stage]
        return tuple(self._option(decision, chosen) for decision, chosen in zip(self.decisions(), places, strict=True))

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        options = (decision.options[option] for decision, option in zip(self.decisions(), code, strict=True))
        chosen = map(self.blocks_of, options)
        stages = [[next(chosen) for _ in range(stage.blocks)] for stage in self.macro.stages]
        return Architecture(self.name, {"chain": write_chain(stages)})

    def _option(self, decision: Decision, chosen: Chosen) -> int:
        name = "+".join(block.text for block in chosen) or NAMES[-1]
        if name not in decision.options:
            raise ArchitectureError(f"no code of {self.name} stands for {name}: {decision.name} offers {NAMES}")
        return decision.options.index(name)

    def blocks_of(self, option: Any) -> Chosen:
        """What an option of a decision puts at its place."""
        return tuple(block for block in CANDIDATES if block.text == option)

    def reference(self) -> Architecture:
        """MobileNetV2's block everywhere: kernel 3, expansion 6."""
        stages = [[(CANDIDATES[1],)] * stage.blocks for stage in self.macro.stages]
        return Architecture(self.name, {"chain": write_chain(stages)})

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over what the decisions describe."""
        return sample(self, generator)

    def sample_at_size(
        self, generator: torch.Generator, match: SizeMatch, num_classes: int, settings: NetworkSettings, image_size: int
    ) -> Architecture:
        """See `methods.spaces.chain.sized`, and what it raises."""
        return draw_at_size(self, generator, match, Input(num_classes, settings.in_channels, image_size))

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if the chain is malformed or not of this space."""
        refuse_unknown(f"key in a genotype of {self.name}:", architecture.genotype, {"chain"})
        if "chain" not in architecture.genotype:
            raise ArchitectureError(f"a genotype of {self.name} needs 'chain', its blocks, as in k3e6 zero | k5e3 ...")
        refuse_unknown("scale", architecture.scale, {"channels"})
        refuse_empty(architecture)
        for slot in layout(architecture, self.macro):
            self._refuse_beside(slot.blocks)

    def _refuse_beside(self, blocks: Chosen) -> None:
        if len(blocks) > 1:
            beside = "+".join(block.text for block in blocks)
            raise ArchitectureError(f"{beside}: a place of {self.name} has one block; dense_{self.name} takes several")

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        return {"channels": scaled(architecture, self.macro).stem}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """Of the settings only `in_channels` counts: the size is the space's and there is no auxiliary head.

        Raises:
            ArchitectureError: a stem for other images than the chain's.
        """
        refuse_other_images(self.name, self.macro, settings.stem)
        slots = layout(architecture, self.macro)
        return ChainNetwork(scaled(architecture, self.macro), slots, num_classes, settings.in_channels)

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        given = Input(num_classes, settings.in_channels, image_size)
        return network_counts(scaled(architecture, self.macro), layout(architecture, self.macro), given)


@register_space("dense_chain_s", "chain_s with any subset of the 6 blocks side by side at each place")
@register_space("dense_chain_xs", "chain_xs with any subset of the 6 blocks side by side at each place")
@register_space("dense_chain_imagenet", "chain_imagenet with any subset of the 6 blocks side by side at each place")
@dataclass(frozen=True)
class DenseChainSpace(ChainSpace):
    """Chains with any number of blocks side by side; their sum is what a place gives."""

    def sample_at_size(
        self, generator: torch.Generator, match: SizeMatch, num_classes: int, settings: NetworkSettings, image_size: int
    ) -> Architecture:
        """See `methods.spaces.chain.dense_sized`, and what it raises."""
        refuse_other_images(self.name, self.macro, settings.stem)
        given = Input(num_classes, settings.in_channels, image_size)
        return draw_dense_at_size(self.name, self.macro, generator, match, given)

    def decisions(self) -> tuple[Decision, ...]:
        """The blocks of each place, from the stem on."""
        return _subset_decisions(self.macro)

    def _option(self, decision: Decision, chosen: Chosen) -> int:
        unknown = [block.text for block in chosen if block not in CANDIDATES]
        if unknown:
            raise ArchitectureError(f"no code of {self.name} stands for {unknown[0]}: it is no choice of {NAMES[:-1]}")
        return decision.options.index(chosen)

    def blocks_of(self, option: Any) -> Chosen:
        return option

    def _refuse_beside(self, blocks: Chosen) -> None:
        """Any number can stand beside each other."""


def refuse_other_images(space: str, macro: Macro, stem: str) -> None:
    """Raises ArchitectureError where a chain has no network with this stem."""
    if stem != macro.kind:
        raise ArchitectureError(
            f"space '{space}' has its own stem, for images of {'ImageNet' if macro.kind == 'imagenet' else 'CIFAR'}; "
            f"set 'stem: {macro.kind}', or take another of {', '.join(MACROS)}"
        )


@cache
def _decisions(macro: Macro) -> tuple[Decision, ...]:
    return tuple(
        Decision(f"block {number}", NAMES, neutral=len(NAMES) - 1)  # no block
        if place.keeps_shape
        else Decision(f"block {number}", NAMES[:-1])
        for number, place in enumerate(macro.places(), 1)
    )


@cache
def _subset_decisions(macro: Macro) -> tuple[Decision, ...]:
    return tuple(
        SubsetDecision(f"blocks {number}", (Subsets if place.keeps_shape else NonEmptySubsets)(CANDIDATES))
        for number, place in enumerate(macro.places(), 1)
    )
