"""Physical narrowing: parameters, buffers and momentum are cut to the channels that stay."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

import torch
from torch import Tensor

from methods.gradient.mgas.supernet import Supernet, replace_tensor

Cut = tuple[tuple[int, Tensor], ...]
"""Dimensions of a tensor with the indices they keep."""


def take(tensor: Tensor, cut: Cut) -> Tensor:
    """The tensor's kept part."""
    for dim, index in cut:
        tensor = tensor.index_select(dim, index.to(tensor.device))
    return tensor


@torch.no_grad()
def apply_cuts(net: Supernet, cuts: Mapping[str, Cut], momentum: MutableMapping[str, Tensor] | None = None) -> None:
    """Cut the supernet's tensors, by name; the cells' units are to be indexed again after that.

    Args:
        momentum: momentum buffers by parameter name; cut in place of the mapping.
    """
    tensors: Mapping[str, Tensor] = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    for name, cut in cuts.items():
        if all(torch.equal(index, torch.arange(tensors[name].shape[dim])) for dim, index in cut):
            continue
        replace_tensor(net, name, take(tensors[name], cut))
        if momentum is not None and name in momentum:
            momentum[name] = take(momentum[name], cut)
