"""The elastic network of chains (`methods.spaces.elastic`)."""

from __future__ import annotations

from functools import partial
from typing import cast

from torch import Tensor, nn

from methods.parts.elastic_layers import Width, convolve, depthwise, normalise
from methods.parts.pixels import Resolutions
from methods.spaces.chain.blocks import ACTIVATIONS, MBConv
from methods.spaces.chain.network import BuiltSlot, ChainNetwork
from methods.spaces.elastic import ElasticNetwork, Selected
from methods.spaces.widths import FULL


class ElasticChain(ElasticNetwork):
    """A chain of `methods.spaces.chain.widths` whose widths are chosen in every forward pass."""

    network: ChainNetwork

    def forward(self, images: Tensor, selected: Selected | None = None) -> Tensor:
        selected = selected or {}
        self.check(selected)
        frame, slots = self.network, iter(self.network.slots)
        at = Resolutions(images, *self.resolution(selected), FULL)
        x = at.through(frame.begin, at.images)
        at.stride(cast(nn.Conv2d, frame.stem[0]).stride[0])
        for stage, blocks in enumerate(self.grid.inside):
            stream = self.stream(stage, selected)
            for number in range(len(blocks)):
                slot = cast(BuiltSlot, next(slots))
                block = self.block(stage, number, selected)
                if not block.there:
                    continue
                module = cast(MBConv, slot.blocks[0])
                run = partial(transform, module, inner=block.width, out=stream)
                added = at.through(run, x)
                at.stride(module.depthwise.stride[0])
                added = added if block.presence is None else added * block.presence
                x = x + added if slot.keeps_shape else added
        return frame.classifier(at.pooled(partial(_head, frame), x))


def _head(frame: ChainNetwork, x: Tensor) -> Tensor:
    convolution, norm, activation = cast(tuple[nn.Conv2d, nn.Module, nn.Module], tuple(frame.head))
    return activation(norm(convolve(convolution, x, convolution.out_channels)))


def transform(block: MBConv, x: Tensor, inner: Width, out: Width) -> Tensor:
    """`MBConv.transform` of a block that expands and looks through nothing, with so many channels inside and out."""
    activation = ACTIVATIONS[block.activation]
    assert block.expand is not None
    x = inner.weigh(activation(normalise(block.norm1, convolve(block.expand, x, inner.channels))))
    x = inner.weigh(activation(normalise(block.norm2, depthwise(block.depthwise, x))))
    return out.weigh(normalise(block.norm3, convolve(block.project, x, out.channels)))
