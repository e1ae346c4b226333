"""Physical narrowing, second half: cut parameters, buffers and momentum to the channels of a plan."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence

import torch
from torch import Tensor, nn

from methods.mgas.cell import SearchCell
from methods.mgas.narrow import CellChannels
from methods.mgas.operations import ConvolutionOperation, Reduction
from methods.mgas.supernet import Supernet, replace_tensor
from methods.mgas.topology import module_name
from methods.spaces.cell_network import INPUTS

Cut = tuple[tuple[int, Tensor], ...]
"""Dimensions of a tensor with the indices they keep."""

NORM_TENSORS = ("weight", "bias", "kappa", "mask", "running_mean", "running_var")


def cuts(net: Supernet, plans: Sequence[CellChannels]) -> dict[str, Cut]:
    """What a plan means for every parameter and buffer, by name; tensors that are not named stay whole."""
    result: dict[str, Cut] = {}
    for index, plan in enumerate(plans):
        cell = net.cell(index)
        for n, (columns, filters) in enumerate(plan.inputs):
            prefix = f"cells.{index}.preprocess{n}"
            result |= _layer_cuts(prefix, (cell.preprocess0, cell.preprocess1)[n], columns, filters)
        for slot, channels in plan.operations.items():
            prefix, module = f"cells.{index}.operations.{module_name(slot)}", cell.operation(slot)
            if isinstance(module, ConvolutionOperation):
                result |= _convolution_cuts(prefix, module, channels)
            elif isinstance(module, Reduction):
                result |= _layer_cuts(prefix, module, *channels)
            else:
                names = ("weight", "bias", "running_mean", "running_var")
                result |= {f"{prefix}.{name}": ((0, channels[0]),) for name in names}
    return result


def _layer_cuts(prefix: str, module: nn.Module, columns: Tensor, filters: Tensor) -> dict[str, Cut]:
    """A 1x1 layer, or the two halves of a stride-2 reduction."""
    result: dict[str, Cut] = {f"{prefix}.norm.{name}": ((0, filters),) for name in NORM_TENSORS}
    if isinstance(module, Reduction):
        half = module.halves[0]
        result[f"{prefix}.conv_1.weight"] = ((0, filters[filters < half]), (1, columns))
        result[f"{prefix}.conv_2.weight"] = ((0, filters[filters >= half] - half), (1, columns))
    else:
        result[f"{prefix}.conv.weight"] = ((0, filters), (1, columns))
    return result


def _convolution_cuts(prefix: str, module: ConvolutionOperation, channels: tuple[Tensor, ...]) -> dict[str, Cut]:
    result: dict[str, Cut] = {}
    for n in range(len(module.norms)):
        columns, filters = channels[n], channels[n + 1]
        for name in ("weight", "mask"):
            result[f"{prefix}.convs.{2 * n}.{name}"] = ((0, columns),)
            result[f"{prefix}.convs.{2 * n + 1}.{name}"] = ((0, filters), (1, columns))
        result |= {f"{prefix}.norms.{n}.{name}": ((0, filters),) for name in NORM_TENSORS}
    return result


def take(tensor: Tensor, cut: Cut) -> Tensor:
    """The tensor's kept part."""
    for dim, index in cut:
        tensor = tensor.index_select(dim, index.to(tensor.device))
    return tensor


@torch.no_grad()
def narrow(
    net: Supernet,
    plans: Sequence[CellChannels],
    momentum: MutableMapping[str, Tensor] | None = None,
    fresh: bool = False,
) -> None:
    """Cut the supernet to a plan.

    Args:
        momentum: momentum buffers by parameter name; cut in place of the mapping.
        fresh: in narrowed cells, start normalisation shift and statistics anew and set filter masks to one (released
            code) instead of cutting them.
    """
    tensors: Mapping[str, Tensor] = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    for name, cut in cuts(net, plans).items():
        if all(len(index) == tensors[name].shape[dim] for dim, index in cut):
            continue
        replace_tensor(net, name, take(tensors[name], cut))
        if momentum is not None and name in momentum:
            momentum[name] = take(momentum[name], cut)
    for index, plan in enumerate(plans):
        cell = net.cell(index)
        cell.node_widths.copy_(torch.tensor(plan.widths[INPUTS:]))
        if fresh and plan.narrowed:
            _start_anew(cell)
        cell.rebuild()


def _start_anew(cell: SearchCell) -> None:
    for norm in cell.filters.norms:
        norm.mask.fill_(True)
        norm.bias.zero_()
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
