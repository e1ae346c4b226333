"""A network of a space of widths made wider, narrower, deeper or shallower, and the weights that it inherits.

Prefixes are what both have: what is narrower keeps its first channels. What is wider computes at first what the other
one did (Chen, Goodfellow and Shlens, ICLR 2016): nothing that was there sees a new channel, and a new block adds zero,
by the scale of its last normalisation. New filters are drawn and not copied, so that no two of them learn the same:
they have no gradient at first, but what sees them learns by them at once, and they from the step after.

Which channels are first is decided once, of a trained network, by the size of their normalisations' scales.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from methods.spaces.channels import ChannelGroup, channel_groups
from methods.spaces.width_space import WidthSpace
from methods.spaces.widths import Widths


def inherited(
    space: WidthSpace, before: Widths, after: Widths, tensors: Mapping[str, Tensor], drawn: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors of a network of `after` that has those of one of `before`.

    Args:
        tensors: a state dict, or what else has one value for each parameter.
        drawn: of a new network: what is not inherited.
    """
    old = _old_names(space, before, after)
    found = {}
    for name, new in drawn.items():
        source = tensors.get(_renamed(name, old))
        found[name] = new.clone() if source is None else overlaid(source.to(new.device), new)
        if source is None and name.endswith(f".{space.closing_norm}.weight"):
            found[name].zero_()
    return found


def overlaid(source: Tensor, drawn: Tensor) -> Tensor:
    """The values of `source` where `drawn` has a place for them, and zero where an old output would see a new input."""
    result = drawn.clone()
    common = [slice(min(pair)) for pair in zip(source.shape, drawn.shape, strict=True)]
    if source.ndim > 1:
        result[common[0], source.shape[1] :] = 0
    result[tuple(common)] = source[tuple(common)]
    return result


def _old_names(space: WidthSpace, before: Widths, after: Widths) -> dict[str, str]:
    """By the module of each block of the new network, what it was called; "" for one that was not."""
    found = {}
    for stage, blocks in enumerate(after.stages):
        for block in range(len(blocks.inside)):
            there = block < len(before.stages[stage].inside)
            found[space.block_path(after, stage, block)] = space.block_path(before, stage, block) if there else ""
    return found


def _renamed(name: str, old: Mapping[str, str]) -> str:
    parts = name.split(".")
    for length in range(1, len(parts)):
        path = ".".join(parts[:length])
        if path in old:
            return ".".join([old[path], *parts[length:]])
    return name


def by_scale(network: nn.Module) -> dict[str, Tensor]:
    """The state dict of a network that computes the same, with the channels of every group in another order.

    First is what has the largest scales in its normalisations (Liu et al., ICCV 2017, network slimming: by their size
    channels are chosen). Channels that belong to no group stay: those that a chain's stages hand on.
    """
    state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    for group in channel_groups(network):
        _reorder(state, group, _order(network, group))
    return state


def _order(network: nn.Module, group: ChannelGroup) -> Tensor:
    """Raises ValueError for a group that is made of parts: networks of widths have none."""
    if any(slot.first or slot.length != group.size for slot in (*group.producers, *group.consumers)):
        raise ValueError(f"channel group {group.name} has parts of their own")
    scales = [network.get_submodule(norm).get_parameter("weight").detach().abs() for norm in group.norms]
    return torch.stack(scales).sum(0).argsort(descending=True, stable=True)


def _reorder(state: dict[str, Tensor], group: ChannelGroup, order: Tensor) -> None:
    for module in (*group.norms, *group.depthwise, *(slot.module for slot in group.producers)):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            if f"{module}.{leaf}" in state:
                state[f"{module}.{leaf}"] = state[f"{module}.{leaf}"][order]
    for slot in group.consumers:
        inputs = torch.arange(state[f"{slot.module}.weight"].shape[1], device=order.device)
        inputs[slot.offset : slot.offset + slot.length] = slot.offset + order
        state[f"{slot.module}.weight"] = state[f"{slot.module}.weight"][:, inputs]
