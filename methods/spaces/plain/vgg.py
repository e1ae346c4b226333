"""VGG with batch normalisation for CIFAR, as pruning papers use it.

Genotype: `{"depth": 19}` is the network of network slimming (Liu et al., ICCV 2017, released PyTorch code): 3x3
convolutions without bias, four max pools, the last map averaged, one linear layer. `{"depth": 16, "hidden": 512}` has
a hidden linear layer with batch normalisation before the classifier, as VGG-16 in Li et al. (ICLR 2017, Table 2).

The first stage has `scale["channels"]` channels (64); the stages have 1, 2, 4, 8 and 8 times as many. Widths by channel
group: `blocks.{i}` for the i-th convolution and `hidden`.

Small images work: a pool leaves a map of one pixel as it is (8x8 digits reach one pixel at the third pool), and
rounds an odd size up; on 32x32 images the map before the average is 2x2.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import MOST_CHANNELS, refuse_unknown
from methods.parts.counts import Convolution, NetworkCounts, total_counts
from methods.spaces.base import NetworkSettings, refuse_imagenet_stem
from methods.spaces.channels import ChannelGroup, ChannelMap
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.plain.resnet import refuse_empty
from methods.spaces.plain.widths import common_width, layer_widths, width_decision
from methods.spaces.registry import register_space

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions in each of the five stages, by depth (Simonyan and Zisserman, ICLR 2015, Table 1: A, B, D, E)."""

FACTORS = (1, 2, 4, 8, 8)
CHANNELS = 64
"""Of the first stage, where the scale does not say."""


class ConvBNReLU(nn.Sequential):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class VGG(nn.Module):
    """`forward(images)` gives logits (batch, num_classes), in training too: there is no auxiliary head."""

    def __init__(self, architecture: Architecture, num_classes: int, in_channels: int) -> None:
        super().__init__()
        depth, channels = architecture.genotype["depth"], int(architecture.scale.get("channels", CHANNELS))
        hidden = int(architecture.genotype.get("hidden", 0))
        self.scale: Mapping[str, int] = {"channels": channels}
        sizes = [channels * f for f, count in zip(FACTORS, CONVOLUTIONS[depth], strict=True) for _ in range(count)]
        self.blocks = nn.ModuleList()
        c_in = in_channels
        for index, size in enumerate(sizes):
            c_out = int(architecture.widths.get(f"blocks.{index}", size))
            self.blocks.append(ConvBNReLU(c_in, c_out))
            c_in = c_out
        self.pool_after = frozenset(end - 1 for end in itertools.accumulate(CONVOLUTIONS[depth][:-1]))
        self.hidden: nn.Module | None = None
        if hidden:
            hidden = int(architecture.widths.get("hidden", hidden))
            self.hidden = nn.Sequential(nn.Linear(c_in, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(hidden or c_in, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.pool_after:
                x = F.max_pool2d(x, 2, ceil_mode=True)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.classifier(x if self.hidden is None else self.hidden(x))

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """One group for every convolution and one for the hidden layer: nothing is coupled."""
        channels = ChannelMap(self)
        inputs: list[str] = []
        layers = [f"blocks.{index}" for index in range(len(self.blocks))]
        for path in layers if self.hidden is None else [*layers, "hidden"]:
            channels.add(path, self.get_submodule(f"{path}.0").get_parameter("weight").shape[0])
            channels.consume(f"{path}.0", inputs)
            channels.produce(f"{path}.0", path)
            channels.norm(f"{path}.1", path)
            inputs = [path]
        channels.consume("classifier", inputs)
        return channels.groups()


@register_space("vgg", "VGG-11, -13, -16 and -19 with batch normalisation, width of each layer free")
@dataclass(frozen=True)
class VGGSpace:
    """VGG-11, -13, -16 and -19; its decisions, and samples, have no hidden layer."""

    name: str = "vgg"

    def decisions(self) -> tuple[Decision, ...]:
        """Depth, and for each of the five stages the width of its convolutions."""
        return _decisions()

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for a hidden layer, another first width than 64, or several widths in a stage."""
        genotype, scale = architecture.genotype, architecture.scale
        refuse_decided_elsewhere(
            self.name, architecture, *(["scale"] if scale.get("channels", CHANNELS) != CHANNELS else []), "masks"
        )
        if genotype.get("hidden"):
            raise ArchitectureError(f"no code of {self.name} stands for a hidden layer, which is no decision")
        depths, *stages = self.decisions()
        layers = _stages(genotype["depth"])
        widths = (common_width(architecture.widths, *layer) for layer in zip(layers, stages, strict=True))
        return (depths.options.index(genotype["depth"]), *widths)

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        depths, *stages = self.decisions()
        depth = depths.options[code[0]]
        widths: dict[str, int] = {}
        for layers, decision, option in zip(_stages(depth), stages, code[1:], strict=True):
            widths |= layer_widths(layers, decision, option)
        return Architecture(self.name, {"depth": depth}, widths=widths)

    def reference(self) -> Architecture:
        return Architecture(self.name, {"depth": 16})

    def sample(self, generator: torch.Generator) -> Architecture:
        return sample(self, generator)

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if depth, hidden layer, scale or widths are not those of such a network."""
        genotype = architecture.genotype
        depth, hidden = genotype.get("depth"), genotype.get("hidden", 0)
        if type(depth) is not int or depth not in CONVOLUTIONS:
            raise ArchitectureError(f"VGG has depth {', '.join(map(str, CONVOLUTIONS))}, not {shown(depth)}")
        if type(hidden) is not int or not 0 <= hidden <= MOST_CHANNELS:
            raise ArchitectureError(
                f"'hidden' is the hidden layer's width, 0 for none, at most {MOST_CHANNELS}, not {shown(hidden)}"
            )
        refuse_unknown("genotype", genotype, {"depth", "hidden"})
        refuse_unknown("scale", architecture.scale, {"channels"})
        names = {f"blocks.{index}" for index in range(sum(CONVOLUTIONS[depth]))}
        refuse_unknown("widths", architecture.widths, names | ({"hidden"} if hidden else set()))
        refuse_empty(architecture)

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        return {"channels": int(architecture.scale.get("channels", CHANNELS))}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """Of the settings only `in_channels` counts: the size is the genotype's and there is no auxiliary head."""
        refuse_imagenet_stem(self.name, settings)
        return VGG(architecture, num_classes, settings.in_channels)

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        channels, widths = int(architecture.scale.get("channels", CHANNELS)), architecture.widths
        hidden = architecture.genotype.get("hidden", 0) and widths.get("hidden", architecture.genotype["hidden"])
        layers, norms, c_in, size = [], hidden, settings.in_channels, image_size
        for stage, (names, factor) in enumerate(zip(_stages(architecture.genotype["depth"]), FACTORS, strict=True)):
            size = size if stage == 0 else (size + 1) // 2
            for name in names:
                c_out = widths.get(name, channels * factor)
                layers.append(Convolution(9 * c_in * c_out, size, size))
                norms, c_in = norms + c_out, c_out
        linear = [(c_in, hidden), (hidden, num_classes)] if hidden else [(c_in, num_classes)]
        return total_counts(layers, norms, linear)


def _stages(depth: int) -> list[list[str]]:
    """The names of the widths in each stage."""
    indices = itertools.count()
    return [[f"blocks.{next(indices)}" for _ in range(count)] for count in CONVOLUTIONS[depth]]


@cache
def _decisions() -> tuple[Decision, ...]:
    stages = (width_decision(f"stages.{stage}", CHANNELS * factor) for stage, factor in enumerate(FACTORS))
    return Decision("depth", tuple(sorted(CONVOLUTIONS)), ordered=True), *stages
