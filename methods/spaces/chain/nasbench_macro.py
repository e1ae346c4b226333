"""NAS-Bench-Macro (Su et al., CVPR 2021, arXiv 2103.11922, table 6 and released code): 8 blocks, 3 choices for each.

Genotype: `{"chain": "02012100"}`, a digit a block: 0 identity, 1 MBConv 3x3 with expansion 3, 2 MBConv 5x5 with
expansion 6. All 6,561 networks were trained and published (`bench/data/tables`). An empty scale is the published one
(32 channels in the stem); a smaller network says so itself: `{"channels": 8}`.

An identity that does not begin a stage is no layer at all, so chains that differ in its place are one network: there
are 3,969. They stay different architectures, as the table lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import refuse_unknown
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings, refuse_imagenet_stem
from methods.spaces.chain.blocks import MBConv, block_counts
from methods.spaces.chain.notation import Block
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.plain.resnet import refuse_empty
from methods.spaces.registry import register_space

BLOCKS = ("identity", "mbconv3_3x3", "mbconv6_5x5")
"""The choices of a place, by their digit."""
EXPANSION = {"mbconv3_3x3": Block(3, 3), "mbconv6_5x5": Block(5, 6)}
"""MobileNetV2's inverted residuals with ReLU in place of ReLU6, as released."""
STAGES = (2, 3, 3)
"""Blocks of each stage; the first of a stage halves the image and doubles the channels."""
LENGTH = sum(STAGES)
SCALE = {"channels": 32}
"""Of the networks that were trained for the table."""
HEAD = 1280
"""Channels of the last convolution."""


def make_block(name: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    """A block; an identity that changes the shape is a 1x1 convolution with batch normalisation."""
    if name in EXPANSION:
        block = EXPANSION[name]
        return MBConv(c_in, c_out, stride, block.expansion, block.kernel)
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


def places(channels: int) -> Iterator[tuple[int, int, int]]:
    """Input channels, output channels and stride of each place, in order."""
    for stage, blocks in enumerate(STAGES):
        width = channels * 2**stage
        yield width, 2 * width, 2
        yield from [(2 * width, 2 * width, 1)] * (blocks - 1)


class MacroNetwork(nn.Module):
    """`forward(images)` gives logits (batch, num_classes), in training too: there is no auxiliary head."""

    def __init__(self, chain: str, num_classes: int, channels: int, in_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.blocks = nn.Sequential(
            *(make_block(BLOCKS[int(digit)], *place) for digit, place in zip(chain, places(channels), strict=True))
        )
        width = channels * 2 ** len(STAGES)
        self.head = nn.Sequential(nn.Conv2d(width, HEAD, 1, bias=False), nn.BatchNorm2d(HEAD), nn.ReLU())
        self.classifier = nn.Linear(HEAD, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.head(self.blocks(self.stem(images)))
        return self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))


@register_space("nasbench_macro", "a chain of 8 blocks, 3 choices for each: 6,561 networks of fixed size, each trained")
@dataclass(frozen=True)
class NASBenchMacroSpace:
    """Chains of NAS-Bench-Macro in its networks."""

    name: str = "nasbench_macro"

    def decisions(self) -> tuple[Decision, ...]:
        """The block of each place, from the stem on."""
        return _decisions()

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError if the architecture has a scale other than the published one, or masks."""
        fixed = {**SCALE, **architecture.scale} == SCALE
        refuse_decided_elsewhere(self.name, architecture, *([] if fixed else ["scale"]), "widths", "masks")
        return tuple(int(digit) for digit in read_chain(architecture.genotype["chain"]))

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        return Architecture(self.name, {"chain": "".join(map(str, code))})

    def reference(self) -> Architecture:
        return Architecture(self.name, {"chain": "1" * LENGTH})

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over the 6,561 chains."""
        return sample(self, generator)

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if the chain is malformed, or the scale names something unknown."""
        refuse_unknown("key in a genotype of nasbench_macro:", architecture.genotype, {"chain"})
        if "chain" not in architecture.genotype:
            raise ArchitectureError("a genotype of nasbench_macro needs 'chain', a digit for each of its 8 blocks")
        read_chain(architecture.genotype["chain"])
        refuse_unknown("scale", architecture.scale, SCALE)
        refuse_empty(architecture)
        if architecture.widths:
            raise ArchitectureError("a network of nasbench_macro has the widths of its scale; leave 'widths' empty")

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        return {**SCALE, **architecture.scale}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """Of the settings only `in_channels` counts: the size is the space's and there is no auxiliary head."""
        refuse_imagenet_stem(self.name, settings)
        channels = self.scale(architecture, settings)["channels"]
        return MacroNetwork(architecture.genotype["chain"], num_classes, channels, settings.in_channels)

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        channels = self.scale(architecture, settings)["channels"]
        return network_counts(architecture.genotype["chain"], num_classes, channels, settings.in_channels, image_size)


def read_chain(text: object, where: str = "chain") -> str:
    """The digits of a chain.

    Raises:
        ArchitectureError: not 8 digits of 0, 1 and 2; the message names the first place that is wrong.
    """
    choices = ", ".join(f"{digit} {name}" for digit, name in enumerate(BLOCKS))
    if not isinstance(text, str) or len(text) != LENGTH:
        raise ArchitectureError(f"{where}: {shown(text)} is not {LENGTH} digits, one a block: {choices}")
    for place, digit in enumerate(text, 1):
        if digit not in "012":
            raise ArchitectureError(f"{where}: {shown(digit)} at place {place} of {shown(text)} is no block: {choices}")
    return text


def network_counts(chain: str, num_classes: int, channels: int, in_channels: int, image_size: int) -> NetworkCounts:
    """Parameters and MACs, as `methods.parts.counts` counts them; the table's FLOPs are these MACs."""
    stem, size = 9 * in_channels * channels, image_size
    params, macs = stem + 2 * channels, stem * size**2
    for digit, (c_in, c_out, stride) in zip(chain, places(channels), strict=True):
        before, size = size, (size + stride - 1) // stride
        more = _block_counts(BLOCKS[int(digit)], c_in, c_out, before, size)
        params, macs = params + more[0], macs + more[1]
    last = channels * 2 ** len(STAGES) * HEAD
    params += last + 2 * HEAD + (HEAD + 1) * num_classes
    return NetworkCounts(params, params, macs + last * size**2 + HEAD * num_classes)


def _block_counts(name: str, c_in: int, c_out: int, before: int, after: int) -> tuple[int, int]:
    """Of one block that turns images of `before` pixels a side into images of `after`."""
    if name in EXPANSION:
        counts = block_counts(EXPANSION[name], c_in, c_out, EXPANSION[name].expansion * c_in, before, after)
        return counts.params, counts.macs
    if c_in == c_out:
        return 0, 0
    return c_in * c_out + 2 * c_out, c_in * c_out * after**2


@cache
def _decisions() -> tuple[Decision, ...]:
    return tuple(Decision(f"block {place}", BLOCKS) for place in range(1, LENGTH + 1))
