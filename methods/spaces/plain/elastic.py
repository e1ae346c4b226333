"""The elastic network of ResNets (`methods.spaces.elastic`)."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.elastic_layers import Width, classify, convolve, normalise
from methods.parts.pixels import Resolutions
from methods.spaces.elastic import ElasticNetwork, Selected
from methods.spaces.plain.resnet import BasicBlock, ResNet
from methods.spaces.widths import FULL


class ElasticResNet(ElasticNetwork):
    """A ResNet of `methods.spaces.plain.resnet_widths` whose widths are chosen in every forward pass."""

    network: ResNet

    def forward(self, images: Tensor, selected: Selected | None = None) -> Tensor:
        selected = selected or {}
        self.check(selected)
        at = Resolutions(images, *self.resolution(selected), FULL)
        x = at.through(partial(begin, self.network, out=self.stream(0, selected)), at.images)
        for stage, blocks in enumerate(self.network.stages):
            out = self.stream(stage, selected)
            for number, module in enumerate(cast(nn.ModuleList, blocks)):
                chosen = self.block(stage, number, selected)
                if not chosen.there:
                    continue
                block = cast(BasicBlock, module)
                added = at.through(partial(transform, block, inner=chosen.width, out=out), x)
                added = added if chosen.presence is None else added * chosen.presence
                if isinstance(block.shortcut, nn.Sequential):
                    x = at.through(partial(project, block.shortcut, out=out), x)
                    at.stride(2)
                x = F.relu(added + x)
        return classify(self.network.classifier, at.pooled(lambda last: last, x))


def begin(network: ResNet, images: Tensor, out: Width) -> Tensor:
    """What the first block is given."""
    return out.weigh(F.relu(normalise(network.bn, convolve(network.conv, images, out.channels))))


def transform(block: BasicBlock, x: Tensor, inner: Width, out: Width) -> Tensor:
    """What a block adds to its shortcut."""
    x = inner.weigh(F.relu(normalise(block.bn1, convolve(block.conv1, x, inner.channels))))
    return out.weigh(normalise(block.bn2, convolve(block.conv2, x, out.channels)))


def project(shortcut: nn.Sequential, x: Tensor, out: Width) -> Tensor:
    """A shortcut to another stage."""
    convolution, norm = cast(nn.Conv2d, shortcut[0]), cast(nn.BatchNorm2d, shortcut[1])
    return out.weigh(normalise(norm, convolve(convolution, x, out.channels)))
