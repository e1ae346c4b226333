"""The structural dependency of channels: which filters, norms and input channels must go together.

A network declares its *channel groups* (`channel_groups()`), writing them down with a `ChannelMap` beside the code
that builds it. Removing channel k of a group means removing filter k of every producer, entry k of every norm and
depthwise convolution, and input channel `offset + k` of every consumer; then nothing else in the network changes
shape. `shrink` does that, and says which widths rebuild the small network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from methods.architecture import Architecture, ArchitectureError


@dataclass(frozen=True)
class Slot:
    """Where a module meets a group: `length` channels, from `offset` in the module and from `first` in the group."""

    module: str
    offset: int
    first: int
    length: int


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can only be removed together, in every module named here.

    Attributes:
        name: the first of `names`.
        names: the widths of an architecture that this group decides; all have the group's size.
        size: number of channels.
        producers: convolutions (or linear layers) whose filters are the group's channels.
        norms: batch normalisations over the group.
        depthwise: depthwise convolutions over the group.
        consumers: convolutions and linear layers with the group among their input channels.
        splits: for each width that says how many channels come from the first half of a factorised reduction, its
            name and that number.
    """

    name: str
    names: tuple[str, ...]
    size: int
    producers: tuple[Slot, ...]
    norms: tuple[str, ...]
    depthwise: tuple[str, ...]
    consumers: tuple[Slot, ...]
    splits: tuple[tuple[str, int], ...] = ()

    @property
    def sections(self) -> tuple[tuple[int, int], ...]:
        """Ranges [first, end) of channels that must each keep one, so that no producer is left without a filter."""
        return tuple(sorted({(slot.first, slot.first + slot.length) for slot in self.producers} | {(0, self.size)}))

    def widths(self, kept: Tensor) -> dict[str, int]:
        """The architecture's widths when only the channels of the bool mask `kept` (size,) are left."""
        count = int(kept.sum())
        firsts = {name: int(kept[:first].sum()) for name, first in self.splits}
        return dict.fromkeys(self.names, count) | {n: first for n, first in firsts.items() if first != count // 2}


@runtime_checkable
class ChannelNetwork(Protocol):
    """A network that knows its channel groups; `scale` is what an architecture must pin to build it again."""

    scale: Mapping[str, int]

    def channel_groups(self) -> tuple[ChannelGroup, ...]: ...


@dataclass
class ChannelMap:
    """Writes down channel groups while walking through a network in the order of its forward pass.

    Coupled names (`couple`) become one group. Names not known before `produce`, `norm`, ... must be added first.
    """

    network: nn.Module
    sizes: dict[str, int] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    slots: dict[str, list[tuple[str, Slot]]] = field(default_factory=dict)
    split_names: list[tuple[str, str, int]] = field(default_factory=list)
    fixed: set[str] = field(default_factory=set)

    def add(self, name: str, size: int) -> None:
        """A new group of `size` channels."""
        self.sizes[name], self.parents[name] = size, name

    def couple(self, one: str, other: str) -> None:
        """The channels of two names are the same: an identity, a pool or a sum joins them."""
        one, other = self._root(one), self._root(other)
        if self.sizes[one] != self.sizes[other]:
            raise ValueError(f"{one} ({self.sizes[one]} channels) cannot be coupled to {other} ({self.sizes[other]})")
        order = list(self.sizes)
        keep, gone = sorted((one, other), key=order.index)
        self.parents[gone] = keep

    def fix(self, name: str) -> None:
        """No channel of this name's group can be removed (a grouped convolution reads it)."""
        self.fixed.add(name)

    def produce(self, module: str, name: str, first: int = 0) -> int:
        """The filters of a convolution or linear layer are the group's channels from `first`; returns their end."""
        length = self.filters(module)
        self._record("producers", name, Slot(module, 0, first, length))
        return first + length

    def filters(self, module: str) -> int:
        """Of a convolution or linear layer."""
        return self.network.get_submodule(module).get_parameter("weight").shape[0]

    def norm(self, module: str, name: str) -> None:
        self._record("norms", name, Slot(module, 0, 0, self.sizes[name]))

    def depthwise(self, module: str, name: str) -> None:
        self._record("depthwise", name, Slot(module, 0, 0, self.sizes[name]))

    def consume(self, module: str, inputs: Sequence[str]) -> None:
        """The input channels of a convolution or linear layer are the concatenation of groups; empty: of no group."""
        offset = 0
        for name in inputs:
            self._record("consumers", name, Slot(module, offset, 0, self.sizes[name]))
            offset += self.sizes[name]

    def split(self, width_name: str, name: str, first: int) -> None:
        """The width `width_name` says how many of the group's channels come before channel `first`."""
        self.split_names.append((name, width_name, first))

    def groups(self) -> tuple[ChannelGroup, ...]:
        """Every group that can lose channels, in the order in which its first name was added."""
        members: dict[str, list[str]] = {}
        for name in self.sizes:
            members.setdefault(self._root(name), []).append(name)
        return tuple(self._group(names) for names in members.values() if not self.fixed & set(names))

    def _group(self, names: list[str]) -> ChannelGroup:
        def slots(role: str) -> tuple[Slot, ...]:
            return tuple(slot for name, slot in self.slots.get(role, []) if name in names)

        return ChannelGroup(
            names[0],
            tuple(names),
            self.sizes[names[0]],
            producers=slots("producers"),
            norms=tuple(slot.module for slot in slots("norms")),
            depthwise=tuple(slot.module for slot in slots("depthwise")),
            consumers=slots("consumers"),
            splits=tuple((width, first) for name, width, first in self.split_names if name in names),
        )

    def _record(self, role: str, name: str, slot: Slot) -> None:
        self.slots.setdefault(role, []).append((name, slot))

    def _root(self, name: str) -> str:
        while self.parents[name] != name:
            name = self.parents[name]
        return name


def channel_groups(network: nn.Module) -> tuple[ChannelGroup, ...]:
    """The network's channel groups.

    Raises:
        ArchitectureError: the network does not declare any.
    """
    if not isinstance(network, ChannelNetwork):
        raise ArchitectureError(
            f"{type(network).__name__} does not declare its channel groups, so its filters cannot be removed; "
            "give it 'scale' and 'channel_groups()' (methods.spaces.channels)"
        )
    return network.channel_groups()


def keep_masks(groups: Sequence[ChannelGroup], keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For every group a bool mask (size,) of its kept channels; a group that `keep` does not name is kept whole.

    Raises:
        ArchitectureError: an unknown group, an index out of range, or a producer left without a filter.
    """
    unknown = sorted(set(keep) - {group.name for group in groups})
    if unknown:
        raise ArchitectureError(f"unknown channel groups {unknown[:4]}; coupled groups go by their first name")
    masks = {}
    for group in groups:
        mask = torch.ones(group.size, dtype=torch.bool)
        if group.name in keep:
            index = keep[group.name].detach().cpu().long()
            if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < group.size:
                raise ArchitectureError(f"channel group {group.name} has {group.size} channels, not {int(index.max())}")
            mask.zero_()[index] = True
        for first, end in group.sections:
            if not mask[first:end].any():
                raise ArchitectureError(
                    f"channel group {group.name} would keep none of its channels {first}..{end - 1}"
                )
        masks[group.name] = mask
    return masks


@dataclass(frozen=True)
class Selection:
    """Which channels of each module stay: bool masks over its outputs (axis 0) and its inputs (axis 1 of a weight)."""

    outputs: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor]

    def narrow(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Slice parameters, statistics or weight masks, given by their names in the large network."""
        result = {}
        for name, tensor in tensors.items():
            module, _, leaf = name.rpartition(".")
            if tensor.ndim and module in self.outputs:
                tensor = tensor[self.outputs[module].to(tensor.device)]
            if leaf == "weight" and module in self.inputs:
                tensor = tensor[:, self.inputs[module].to(tensor.device)]
            result[name] = tensor.detach().clone()
        return result


def select(network: nn.Module, groups: Sequence[ChannelGroup], masks: Mapping[str, Tensor]) -> Selection:
    """Turn kept channels of groups (`keep_masks`) into kept outputs and inputs of modules."""
    outputs: dict[str, Tensor] = {}
    inputs: dict[str, Tensor] = {}
    for group in groups:
        kept = masks[group.name]
        for module in (*group.norms, *group.depthwise):
            outputs[module] = kept
        for slot in group.producers:
            outputs[slot.module] = kept[slot.first : slot.first + slot.length]
        for slot in group.consumers:
            if slot.module not in inputs:
                channels = network.get_submodule(slot.module).get_parameter("weight").shape[1]
                inputs[slot.module] = torch.ones(channels, dtype=torch.bool)
            inputs[slot.module][slot.offset : slot.offset + slot.length] = kept
    return Selection(outputs, inputs)


def shrink(
    architecture: Architecture, network: nn.Module, keep: Mapping[str, Tensor]
) -> tuple[Architecture, dict[str, Tensor]]:
    """Remove channels physically.

    Args:
        network: built from `architecture`.
        keep: indices of the channels to keep, by group name; groups not named are kept whole.

    Returns:
        The architecture of the small network (widths of all groups, scale pinned, weight masks sliced), and the
        state dict of that network with the weights and statistics of the channels kept.

    Raises:
        ArchitectureError: see `keep_masks`; or the network does not declare its channel groups.
    """
    groups = channel_groups(network)
    assert isinstance(network, ChannelNetwork)
    masks = keep_masks(groups, keep)
    selection = select(network, groups, masks)
    widths: dict[str, int] = {}
    for group in groups:
        widths |= group.widths(masks[group.name])
    small = replace(
        architecture,
        scale={**architecture.scale, **network.scale},
        widths=widths,
        masks=selection.narrow(architecture.masks),
    )
    return small, selection.narrow(network.state_dict())
