"""Channel groups of networks of cells: what is coupled by identities, pools, sums and concatenations.

All operations entering a node are summed, so their filters are one group; an identity or a pool carries the channels
of its source into its node, so those two states are one group. Inside of a separable convolution is a group of its
own, as is what lies between the two convolutions of a `conv_kx1_1xk`. A cell's output concatenates states, which the
next two cells, the auxiliary head and the classifier consume. What a convolution in groups reads cannot be removed.
"""

from __future__ import annotations

from typing import Protocol, cast

from torch import nn

from methods.spaces.cell.layout import CellLayout
from methods.spaces.channels import ChannelGroup, ChannelMap
from methods.spaces.operations import CrossConv, DilConv, FactorizedReduce, GroupConv, ReLUConvBN, SepConv


class CellModules(Protocol):
    """The modules of one cell, in the order of its layout."""

    layout: CellLayout
    preprocess0: nn.Module
    preprocess1: nn.Module
    operations: nn.ModuleList


class NetworkModules(Protocol):
    """What the groups need of a network of cells (`methods.spaces.cell.network.CellNetwork`)."""

    stem_kind: str
    stem: nn.Sequential
    cells: nn.ModuleList
    auxiliary_after: int
    auxiliary_head: nn.Module | None


def cell_channel_groups(module: nn.Module) -> tuple[ChannelGroup, ...]:
    """Channel groups of a network of cells, named by the widths of its layout; an ImageNet stem keeps its channels.

    Args:
        module: a network with the attributes of `NetworkModules`.
    """
    network, channels = cast(NetworkModules, module), ChannelMap(module)
    outputs: list[str] = []
    if network.stem_kind == "cifar":
        channels.add("stem", _filters(network.stem[0]))
        channels.produce("stem.0", "stem")
        channels.norm("stem.1", "stem")
        outputs = ["stem"]
    before_last, last = outputs, outputs
    for index, each in enumerate(network.cells):
        cell = cast(CellModules, each)
        path = f"cells.{index}"
        states = [f"{path}.s{j}" for j in range(len(cell.layout.widths))]
        for state, width in zip(states, cell.layout.widths, strict=True):
            channels.add(state, width)
        _project(channels, f"{path}.preprocess0", cell.preprocess0, before_last, states[0])
        _project(channels, f"{path}.preprocess1", cell.preprocess1, last, states[1])
        for n, (edge, operation) in enumerate(zip(cell.layout.edges, cell.operations, strict=True)):
            source, node = states[edge.source], states[edge.node]
            _operation(channels, f"{path}.operations.{n}", operation, source, node, mid=f"{path}.op{n}.mid")
        before_last, last = last, [states[node] for node in cell.layout.concat]
        if index == network.auxiliary_after and network.auxiliary_head is not None:
            channels.consume("auxiliary_head.2", last)
    channels.consume("classifier", last)
    return channels.groups()


def _project(channels: ChannelMap, path: str, module: nn.Module, inputs: list[str], output: str) -> None:
    """A convolution of a concatenation, plain or in the two halves of a factorised reduction."""
    if isinstance(module, FactorizedReduce):
        channels.consume(f"{path}.conv_1", inputs)
        channels.consume(f"{path}.conv_2", inputs)
        first = channels.produce(f"{path}.conv_1", output)
        channels.produce(f"{path}.conv_2", output, first)
        channels.norm(f"{path}.bn", output)
        channels.split(f"{output}.first", output, first)
    else:
        assert isinstance(module, ReLUConvBN)
        _pointwise(channels, path, 1, inputs, output)


def _filters(convolution: nn.Module) -> int:
    return convolution.get_parameter("weight").shape[0]


def _pointwise(channels: ChannelMap, path: str, place: int, inputs: list[str], output: str) -> None:
    channels.consume(f"{path}.{place}", inputs)
    channels.produce(f"{path}.{place}", output)
    channels.norm(f"{path}.{place + 1}", output)


def _operation(channels: ChannelMap, path: str, module: nn.Module, source: str, node: str, mid: str) -> None:
    match module:
        case FactorizedReduce() | ReLUConvBN():
            _project(channels, path, module, [source], node)
        case SepConv():
            channels.add(mid, _filters(module[2]))
            channels.depthwise(f"{path}.1", source)
            _pointwise(channels, path, 2, [source], mid)
            channels.depthwise(f"{path}.5", mid)
            _pointwise(channels, path, 6, [mid], node)
        case DilConv():
            channels.depthwise(f"{path}.1", source)
            _pointwise(channels, path, 2, [source], node)
        case CrossConv():
            channels.add(mid, _filters(module[1]))
            channels.consume(f"{path}.1", [source])
            channels.produce(f"{path}.1", mid)
            _pointwise(channels, path, 2, [mid], node)
        case GroupConv():
            channels.fix(source)
            _pointwise(channels, path, 5, [], node)
        case _:  # what has no filters carries its source's channels into the node
            channels.couple(source, node)
            if isinstance(module, nn.Sequential):
                channels.norm(f"{path}.1", node)
