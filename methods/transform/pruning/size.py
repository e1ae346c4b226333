"""The size of a network as a closed form of the channels kept in each group; `ratio.measure` is what it must equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.parts.counts import AUXILIARY_HEAD, ImageShape, weight_positions
from methods.spaces.channels import ChannelGroup
from methods.transform.pruning.ratio import Counts

Piece = tuple[str, int, int]
"""Group name and the range [first, end) of its channels."""


@dataclass(frozen=True)
class Axis:
    """The channels of one side of a layer: those of some groups, and `fixed` ones of no group."""

    pieces: tuple[Piece, ...]
    fixed: int

    def left(self, kept: Mapping[Piece, int]) -> int:
        return self.fixed + sum(kept[piece] for piece in self.pieces)


@dataclass(frozen=True)
class Layer:
    """Parameters are `outputs * (inputs * area + extra)`; only a convolution or linear layer has an area."""

    outputs: Axis
    inputs: Axis
    area: int
    extra: int
    positions: int
    is_filter: bool


class SizeModel:
    """Counts of the network that is left when only some channels of each group are kept."""

    def __init__(self, network: nn.Module, groups: Sequence[ChannelGroup], image_shape: ImageShape) -> None:
        outputs, inputs = _axes(groups)
        depthwise = {name for group in groups for name in group.depthwise}
        positions = weight_positions(network, image_shape)
        self.layers: list[Layer] = []
        self.constant = 0
        for name, module in network.named_modules():
            own = list(module.parameters(recurse=False))
            if not own or name.startswith(AUXILIARY_HEAD):
                continue
            if isinstance(module, nn.Conv2d | nn.Linear):
                is_filter = isinstance(module, nn.Conv2d) and name not in depthwise
                self.layers.append(_layer(name, module, outputs, inputs, positions.get(name, 0), is_filter))
            elif name in outputs:
                axis = _axis(outputs[name], own[0].shape[0])
                self.layers.append(Layer(axis, Axis((), 0), 0, len(own), 0, False))
            else:
                self.constant += sum(parameter.numel() for parameter in own)
        self.pieces = {p for layer in self.layers for p in (*layer.outputs.pieces, *layer.inputs.pieces)}

    def counts(self, masks: Mapping[str, Tensor]) -> Counts:
        """Sizes when the bool mask (size,) of every group says which channels are kept."""
        sums = {
            name: torch.cat([torch.zeros(1, dtype=torch.int64), mask.cumsum(0)]).tolist()
            for name, mask in masks.items()
        }
        kept = {(name, first, end): sums[name][end] - sums[name][first] for name, first, end in self.pieces}
        params, macs, filters, weights = self.constant, 0, 0, 0
        for layer in self.layers:
            c_out, c_in = layer.outputs.left(kept), layer.inputs.left(kept)
            weight = c_out * c_in * layer.area
            params += weight + c_out * layer.extra
            macs += weight * layer.positions
            filters += c_out * layer.is_filter
            weights += weight
        return Counts(params, macs, filters, weights)


def _axes(groups: Sequence[ChannelGroup]) -> tuple[dict[str, list[Piece]], dict[str, list[Piece]]]:
    """The pieces of groups on the output and the input side of every module."""
    outputs: dict[str, list[Piece]] = {}
    inputs: dict[str, list[Piece]] = {}
    for group in groups:
        for module in (*group.norms, *group.depthwise):
            outputs[module] = [(group.name, 0, group.size)]
        for side, slots in ((outputs, group.producers), (inputs, group.consumers)):
            for slot in slots:
                side.setdefault(slot.module, []).append((group.name, slot.first, slot.first + slot.length))
    return outputs, inputs


def _axis(pieces: Sequence[Piece], channels: int) -> Axis:
    return Axis(tuple(pieces), channels - sum(end - first for _, first, end in pieces))


def _layer(
    name: str,
    module: nn.Conv2d | nn.Linear,
    outputs: Mapping[str, list[Piece]],
    inputs: Mapping[str, list[Piece]],
    positions: int,
    is_filter: bool,
) -> Layer:
    weight = module.weight
    return Layer(
        _axis(outputs.get(name, ()), weight.shape[0]),
        _axis(inputs.get(name, ()), weight.shape[1]),
        area=weight[0, 0].numel(),
        extra=int(module.bias is not None),
        positions=positions,
        is_filter=is_filter,
    )
