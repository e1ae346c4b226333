"""Physical narrowing, second half: cut parameters, buffers and momentum to the channels of a plan."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

import torch
from torch import Tensor, nn

from methods.gradient.mgas.cells.cell import DenseCell
from methods.gradient.mgas.cells.narrow import CellChannels
from methods.gradient.mgas.cells.operations import ConvolutionOperation, Reduction
from methods.gradient.mgas.cells.supernet import CellSupernet
from methods.gradient.mgas.cells.topology import module_name
from methods.gradient.mgas.cuts import Cut, apply_cuts
from methods.spaces.cell.network import INPUTS

NORM_TENSORS = ("weight", "bias", "kappa", "mask", "running_mean", "running_var")


def cuts(net: CellSupernet, plans: Sequence[CellChannels]) -> dict[str, Cut]:
    """What a plan means for every parameter and buffer, by name; tensors that are not named stay whole."""
    result: dict[str, Cut] = {}
    for index, plan in enumerate(plans):
        cell = net.cell(index)
        for n, (columns, filters) in enumerate(plan.inputs):
            prefix, layer = f"cells.{index}.preprocess{n}", (cell.preprocess0, cell.preprocess1)[n]
            result |= _layer_cuts(prefix, layer, columns, filters)
            if plan.first_half_gates and isinstance(layer, Reduction):
                result |= misplaced(prefix, layer.halves[0], filters)
        for slot, channels in plan.operations.items():
            prefix, module = f"cells.{index}.operations.{module_name(slot)}", cell.operation(slot)
            if isinstance(module, ConvolutionOperation):
                result |= _convolution_cuts(prefix, module, channels)
            elif isinstance(module, Reduction):
                result |= _layer_cuts(prefix, module, *channels)
                if plan.first_half_gates:
                    result |= misplaced(prefix, module.halves[0], channels[1])
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


def misplaced(prefix: str, half: int, filters: Tensor) -> dict[str, Cut]:
    """What the released code gives the second half of a stride-2 layer: gates and scales from wrong places.

    Its filters are numbered from zero there, so that their gates are those of the first half; and their normalisation
    scales are looked up behind the first half's new size instead of its old one.
    """
    first, second = filters[filters < half], filters[filters >= half] - half
    return {
        f"{prefix}.norm.kappa": ((0, torch.cat([first, second])),),
        f"{prefix}.norm.weight": ((0, torch.cat([first, second + len(first)])),),
    }


def _convolution_cuts(prefix: str, module: ConvolutionOperation, channels: tuple[Tensor, ...]) -> dict[str, Cut]:
    result: dict[str, Cut] = {}
    for n in range(len(module.norms)):
        columns, filters = channels[n], channels[n + 1]
        for name in ("weight", "mask"):
            result[f"{prefix}.convs.{2 * n}.{name}"] = ((0, columns),)
            result[f"{prefix}.convs.{2 * n + 1}.{name}"] = ((0, filters), (1, columns))
        result |= {f"{prefix}.norms.{n}.{name}": ((0, filters),) for name in NORM_TENSORS}
    return result


@torch.no_grad()
def narrow(
    net: CellSupernet, plans: Sequence[CellChannels], momentum: MutableMapping[str, Tensor] | None = None
) -> None:
    """Cut the supernet to a plan.

    Args:
        momentum: momentum buffers by parameter name; cut in place of the mapping.
    """
    apply_cuts(net, cuts(net, plans), momentum)
    for index, plan in enumerate(plans):
        cell = net.cell(index)
        cell.node_widths.copy_(torch.tensor(plan.widths[INPUTS:]))
        if plan.anew:
            _start_anew(cell)
        cell.rebuild()


def _start_anew(cell: DenseCell) -> None:
    for norm in cell.filters.norms:
        norm.mask.fill_(True)
        norm.bias.zero_()
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
