"""Channel groups of networks of cells: what is coupled by identities, pools, sums and concatenations.

All operations entering a node are summed, so their filters are one group; an identity or a pool carries the channels
of its source into its node, so those two states are one group. What an operation couples, and what lies inside of it,
it says itself (`methods.spaces.operations`). A cell's output concatenates states, which the next two cells, the
auxiliary head and the classifier consume.
"""

from __future__ import annotations

from typing import Protocol, cast

from torch import nn

from methods.spaces.cell.layout import CellLayout
from methods.spaces.channels import ChannelGroup, ChannelMap
from methods.spaces.operations.base import Names, get_operation
from methods.spaces.operations.projections import project


class LaidOut(Protocol):
    """A cell that has its layout."""

    layout: CellLayout


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
        channels.add("stem", channels.filters("stem.0"))
        channels.produce("stem.0", "stem")
        channels.norm("stem.1", "stem")
        outputs = ["stem"]
    before_last, last = outputs, outputs
    for index, each in enumerate(network.cells):
        cell = cast(LaidOut, each)
        path = f"cells.{index}"
        states = [f"{path}.s{j}" for j in range(len(cell.layout.widths))]
        for state, width in zip(states, cell.layout.widths, strict=True):
            channels.add(state, width)
        project(channels, f"{path}.preprocess0", before_last, states[0])
        project(channels, f"{path}.preprocess1", last, states[1])
        for n, edge in enumerate(cell.layout.edges):
            names = Names(states[edge.source], states[edge.node], mid=f"{path}.op{n}.mid")
            get_operation(edge.operation).couple(channels, f"{path}.operations.{n}", names)
        before_last, last = last, [states[node] for node in cell.layout.concat]
        if index == network.auxiliary_after and network.auxiliary_head is not None:
            channels.consume("auxiliary_head.2", last)
    channels.consume("classifier", last)
    return channels.groups()
