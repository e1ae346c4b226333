"""The CIFAR ResNet of He et al. (CVPR 2016, section 4.2): depth 6n + 2, three stages of n basic blocks.

Genotype: `{"depth": 56, "shortcut": "pad"}`. "pad" (the default) is the paper's option A, used for all its CIFAR
networks: where a stage begins, the shortcut takes every second pixel and fills the new channels with zeros, without
parameters. "projection" is option B, a 1x1 convolution with batch normalisation in these two places.

The first stage has `scale["channels"]` channels (16), each later one twice as many. Widths by channel group:

    stages.{s}.{b}.mid   between the two convolutions of block b in stage s
    stages.{s}           the residual stream of stage s; only with projections, since padding ties the streams together

Any image size works: the stages halve it twice (8x8 digits end in 2x2) and the last map is averaged over all pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import refuse_unknown
from methods.parts.convolution import StridedPointwise
from methods.parts.counts import Convolution, NetworkCounts, total_counts
from methods.spaces.base import NetworkSettings, refuse_imagenet_stem
from methods.spaces.channels import ChannelGroup, ChannelMap
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.plain.widths import common_width, layer_widths, width_decision
from methods.spaces.registry import register_space

STAGES = 3
PUBLISHED_DEPTHS = (20, 32, 44, 56, 110)
DEEPEST = 1202
"""The deepest of He et al. (section 4.2)."""
CHANNELS = 16
"""Of the first stage, where the scale does not say."""
SHORTCUTS = ("pad", "projection")


class PadShortcut(nn.Module):
    """Every second pixel; new channels, after the old ones, are zero."""

    def __init__(self, new_channels: int) -> None:
        super().__init__()
        self.new_channels = new_channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions added to a shortcut, ReLU after the sum."""

    def __init__(self, c_in: int, c_mid: int, c_out: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_mid, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_mid)
        self.conv2 = nn.Conv2d(c_mid, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 and shortcut == "pad":
            self.shortcut = PadShortcut(c_out - c_in)
        elif stride > 1:
            self.shortcut = nn.Sequential(StridedPointwise(c_in, c_out), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class ResNet(nn.Module):
    """`forward(images)` gives logits (batch, num_classes), in training too: there is no auxiliary head.

    Args:
        streams: channels of each stage.
        inside: of each stage, channels between the convolutions of each block; 0 for no block.
        shortcut: where a stage begins.
    """

    def __init__(
        self, streams: Sequence[int], inside: Sequence[Sequence[int]], shortcut: str, num_classes: int, in_channels: int
    ) -> None:
        super().__init__()
        self.scale: Mapping[str, int] = {}
        self.prunable_stream = shortcut == "projection"
        self.conv = nn.Conv2d(in_channels, streams[0], 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(streams[0])
        self.stages = nn.ModuleList()
        c_in = streams[0]
        for stage, (c_out, mids) in enumerate(zip(streams, inside, strict=True)):
            blocks = nn.ModuleList()
            for block, mid in enumerate(mids):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(c_in, mid, c_out, stride, shortcut) if mid else nn.Identity())
                c_in = c_out
            self.stages.append(blocks)
        self.classifier = nn.Linear(c_in, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn(self.conv(images)))
        for blocks in self.stages:
            for block in cast(nn.ModuleList, blocks):
                x = block(x)
        return self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """The inside of every block and, where shortcuts are projections, the stream of every stage."""
        channels = ChannelMap(self)

        def produce(convolution: str, norm: str, group: str) -> None:
            if group not in channels.sizes:
                channels.add(group, self.get_submodule(convolution).get_parameter("weight").shape[0])
            channels.produce(convolution, group)
            channels.norm(norm, group)

        if self.prunable_stream:
            produce("conv", "bn", "stages.0")
        source = "stages.0"
        for stage, blocks in enumerate(self.stages):
            stream = f"stages.{stage}"
            for index, block in enumerate(cast(nn.ModuleList, blocks)):
                path = f"{stream}.{index}"
                if not isinstance(block, BasicBlock):
                    continue
                produce(f"{path}.conv1", f"{path}.bn1", f"{path}.mid")
                channels.consume(f"{path}.conv2", [f"{path}.mid"])
                if not self.prunable_stream:
                    continue
                channels.consume(f"{path}.conv1", [source])
                produce(f"{path}.conv2", f"{path}.bn2", stream)
                if isinstance(block.shortcut, nn.Sequential):
                    channels.consume(f"{path}.shortcut.0", [source])
                    produce(f"{path}.shortcut.0", f"{path}.shortcut.1", stream)
                source = stream
        if self.prunable_stream:
            channels.consume("classifier", [source])
        return channels.groups()


def _read(architecture: Architecture) -> tuple[int, str, int]:
    """Depth, shortcut and first stage's channels of a validated architecture."""
    genotype = architecture.genotype
    return genotype["depth"], genotype.get("shortcut", "pad"), int(architecture.scale.get("channels", CHANNELS))


@register_space("resnet", "plain residual networks for CIFAR, depth 6n + 2, width of each layer free")
@dataclass(frozen=True)
class ResNetSpace:
    """Networks of depth 8, 14, 20, ...; its decisions, and samples, have the depths published for CIFAR."""

    name: str = "resnet"

    def decisions(self) -> tuple[Decision, ...]:
        """Depth, shortcut, and for each stage the width between the two convolutions of its blocks."""
        return _decisions()

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for another first width than 16, or blocks of different widths in a stage."""
        depth, shortcut, channels = _read(architecture)
        refuse_decided_elsewhere(self.name, architecture, *(["scale"] if channels != CHANNELS else []), "masks")
        depths, shortcuts, *stages = self.decisions()
        if depth not in depths.options:
            raise ArchitectureError(f"no code of {self.name} stands for depth {depth}; they have {depths.options}")
        inner = [_inner(depth, stage) for stage in range(STAGES)]
        streams = set(architecture.widths) - {name for names in inner for name in names}
        if streams:
            raise ArchitectureError(f"no code of {self.name} stands for a width of {min(streams)}: no decision")
        widths = (common_width(architecture.widths, *layer) for layer in zip(inner, stages, strict=True))
        return (depths.options.index(depth), shortcuts.options.index(shortcut), *widths)

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        depths, shortcuts, *stages = self.decisions()
        depth, shortcut = depths.options[code[0]], shortcuts.options[code[1]]
        widths: dict[str, int] = {}
        for stage, (decision, option) in enumerate(zip(stages, code[2:], strict=True)):
            widths |= layer_widths(_inner(depth, stage), decision, option)
        return Architecture(self.name, {"depth": depth, "shortcut": shortcut}, widths=widths)

    def reference(self) -> Architecture:
        return Architecture(self.name, {"depth": 56})

    def sample(self, generator: torch.Generator) -> Architecture:
        return sample(self, generator)

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if depth, shortcut, scale or widths are not those of a CIFAR ResNet."""
        genotype = architecture.genotype
        depth, shortcut = genotype.get("depth"), genotype.get("shortcut", "pad")
        if type(depth) is not int or not 8 <= depth <= DEEPEST or depth % 6 != 2:
            raise ArchitectureError(
                f"a CIFAR ResNet has depth 6n + 2 (20, 32, 44, 56, 110, ... {DEEPEST}), not {shown(depth)}"
            )
        if shortcut not in SHORTCUTS:
            raise ArchitectureError(f"unknown shortcut {shown(shortcut)}; known: {', '.join(SHORTCUTS)}")
        refuse_unknown("genotype", genotype, {"depth", "shortcut"})
        refuse_unknown("scale", architecture.scale, {"channels"})
        names = {f"stages.{stage}.{block}.mid" for stage in range(STAGES) for block in range((depth - 2) // 6)}
        if shortcut == "projection":
            names |= {f"stages.{stage}" for stage in range(STAGES)}
        refuse_unknown("widths", architecture.widths, names)
        refuse_empty(architecture)

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        return {"channels": _read(architecture)[2]}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """Of the settings only `in_channels` counts: the size is the genotype's and there is no auxiliary head."""
        refuse_imagenet_stem(self.name, settings)
        depth, shortcut, channels = _read(architecture)
        widths = architecture.widths
        streams = [int(widths.get(f"stages.{stage}", channels * 2**stage)) for stage in range(STAGES)]
        inside = [
            [int(widths.get(name, channels * 2**stage)) for name in _inner(depth, stage)] for stage in range(STAGES)
        ]
        network = ResNet(streams, inside, shortcut, num_classes, settings.in_channels)
        network.scale = {"channels": channels}
        return network

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        depth, shortcut, channels = _read(architecture)
        widths, size = architecture.widths, image_size
        streams = [widths.get(f"stages.{stage}", channels * 2**stage) for stage in range(STAGES)]
        layers = [Convolution(9 * settings.in_channels * streams[0], size, size)]
        norms, c_in = streams[0], streams[0]
        for stage, c_out in enumerate(streams):
            size = size if stage == 0 else (size + 1) // 2
            for name in _inner(depth, stage):
                mid = widths.get(name, channels * 2**stage)
                layers += [Convolution(9 * c_in * mid, size, size), Convolution(9 * mid * c_out, size, size)]
                norms, c_in = norms + mid + c_out, c_out
            if stage > 0 and shortcut == "projection":
                layers.append(Convolution(streams[stage - 1] * c_out, size, size))
                norms += c_out
        return total_counts(layers, norms, [(c_in, num_classes)])


def _inner(depth: int, stage: int) -> list[str]:
    return [f"stages.{stage}.{block}.mid" for block in range((depth - 2) // 6)]


@cache
def _decisions() -> tuple[Decision, ...]:
    stages = (width_decision(f"stages.{stage}.mid", CHANNELS * 2**stage) for stage in range(STAGES))
    return Decision("depth", PUBLISHED_DEPTHS, ordered=True), Decision("shortcut", SHORTCUTS), *stages


def refuse_empty(architecture: Architecture) -> None:
    for name, size in (*architecture.widths.items(), *architecture.scale.items()):
        if type(size) is not int or size < 1:
            raise ArchitectureError(f"'{name}' needs at least one channel, not {shown(size)}")
