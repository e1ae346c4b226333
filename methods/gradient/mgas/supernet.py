"""The supernet: independent cells in three stages, each stage with its own head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.base import SearchContext
from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.switches import Switches
from methods.gradient.mgas.topology import ALL_SLOTS, Plan, module_name
from methods.parts.convolution import in_memory_format
from methods.parts.single_values import take_single_values
from methods.spaces.cell.network import cifar_stem, imagenet_stem

LAST_STAGE = 2

ROLES = ("weight", "alpha", "kappa", "t_operation", "t_filter", "t_input", "t_weight")
"""What a parameter is for: module weights, gates of operations and filters, thresholds."""


def role(name: str) -> str:
    """The role of a parameter, by the last part of its name."""
    last = name.rsplit(".", 1)[-1]
    return last if last in ROLES else "weight"


class StageHead(nn.Sequential):
    """Classifier of an early stage: pool, 1x1 convolution to 128, a convolution over the whole map to 256, linear.

    For 32x32 images this is the released head: pooling 11 (stage 1) or 7 (stage 2) with stride 3 to 8x8 or 4x4. For
    other sizes an adaptive pool makes a quarter of the stage's resolution, as the released heads do.
    """

    def __init__(self, channels: int, size: int, num_classes: int) -> None:
        pooled = max(1, size // 4)
        kernel = size - 3 * (pooled - 1)
        official = size in (32, 16)
        super().__init__(
            nn.ReLU(),
            nn.AvgPool2d(kernel, stride=3, count_include_pad=False) if official else nn.AdaptiveAvgPool2d(pooled),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 256, pooled, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(256, num_classes),
        )
        take_single_values(self)  # its map is one pixel, and the last batch of an epoch may be one image


class Supernet(nn.Module):
    """All cells, their heads, and the architecture parameters, thresholds and masks within.

    `forward(images)` runs the cells of the present stage and all earlier ones, and gives that stage's logits
    (batch, num_classes); later cells and other heads are not executed.

    Attributes:
        stage: 0, 1 or 2.
        operation_gates, operation_masks: (K, 14, 7) of the K executed cells in the last forward pass.
        strength: lambda, on the device. epoch_sums: cross entropy, lambda * l_cost and steps of this epoch.
    """

    strength: Tensor
    epoch_sums: Tensor

    def __init__(
        self,
        plan: Plan,
        context: SearchContext,
        switches: Switches,
        discretisation: Discretisation,
        heads: bool = True,
    ) -> None:
        super().__init__()
        self.plan, self.discretisation = plan, discretisation
        self.stem_kind = context.stem
        size = context.image_size
        if context.stem == "cifar":
            before_last = last = 3 * plan.channels
            self.stem: nn.Module = cifar_stem(context.in_channels, last)
        else:
            before_last = last = plan.channels
            self.stem, self.stem1 = imagenet_stem(context.in_channels, plan.channels)
            size //= 8
        self.cells = nn.ModuleList()
        for index in range(plan.cells):
            halved_input = index - 1 in plan.reductions or (index == 0 and context.stem == "imagenet")
            cell = SearchCell(index, plan, (before_last, last), halved_input, switches, discretisation)
            self.cells.append(cell)
            before_last, last = last, 4 * plan.width(index)
        self.heads = nn.ModuleList(
            StageHead(4 * plan.channels * 2**stage, size // 2**stage, context.num_classes)
            for stage in range(LAST_STAGE if heads else 0)
        )
        self.classifier = nn.Linear(last, context.num_classes)
        self.stage = LAST_STAGE
        self.register_buffer("strength", torch.zeros(()))
        self.register_buffer("epoch_sums", torch.zeros(3))
        self.operation_gates = self.operation_masks = torch.empty(0)

    def executed(self, stage: int | None = None) -> list[SearchCell]:
        """The cells of a stage (default: the present one) and of all earlier stages."""
        end = self.plan.stage_ends[self.stage if stage is None else stage]
        return [self.cell(index) for index in range(end + 1)]

    def cells_in(self, indices: range) -> list[SearchCell]:
        return [self.cell(index) for index in indices]

    def cell(self, index: int) -> SearchCell:
        cell = self.cells[index]
        assert isinstance(cell, SearchCell)
        return cell

    def gates(self, cells: list[SearchCell]) -> Tensor:
        """(K, 14, 7): sigmoid(alpha), 0 for removed operations."""
        return torch.stack([cell.alpha for cell in cells]).sigmoid() * self.committed(cells)

    def committed(self, cells: list[SearchCell]) -> Tensor:
        """(K, 14, 7) bool: operations that are not removed."""
        return torch.stack([cell.operation_mask for cell in cells])

    def forward(self, images: Tensor) -> Tensor:
        cells = self.executed()
        gates = self.gates(cells)
        thresholds = torch.stack([cell.t_operation for cell in cells])
        masks = self.discretisation.operation_masks(gates, self.committed(cells), thresholds)
        if self.training:
            for cell, mask in zip(cells, masks.detach() > 0, strict=True):
                cell.operation_now.copy_(mask)
        self.operation_gates, self.operation_masks = gates, masks
        before_last = self.stem(in_memory_format(images))
        last = self.stem1(before_last) if self.stem_kind == "imagenet" else before_last
        for cell, coefficients in zip(cells, (gates * masks).unbind(), strict=True):
            before_last, last = last, cell(before_last, last, coefficients)
        if self.stage < LAST_STAGE:
            return self.heads[self.stage](last)
        return self.classifier(F.adaptive_avg_pool2d(last, 1).flatten(1))

    def head(self) -> nn.Module:
        """The present stage's classifier."""
        return self.heads[self.stage] if self.stage < LAST_STAGE else self.classifier

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over another supernet's state dict, with its removed operations and narrowed widths."""
        for index in range(self.plan.cells):
            cell = self.cell(index)
            prefix = f"cells.{index}.operations."
            kept = {name[len(prefix) :].split(".", 1)[0] for name in tensors if name.startswith(prefix)}
            for slot in ALL_SLOTS:
                if module_name(slot) not in kept:
                    cell.remove_operation(slot)
        device = self.classifier.weight.device
        for name, value in tensors.items():
            replace_tensor(self, name, value.to(device))
        for index in range(self.plan.cells):
            self.cell(index).rebuild()


def replace_tensor(net: nn.Module, name: str, value: Tensor) -> None:
    """Set a parameter or buffer by name: in place where the shape is the same, else as a new tensor."""
    path, _, last = name.rpartition(".")
    owner = net.get_submodule(path)
    present = getattr(owner, last)
    if present.shape == value.shape:
        with torch.no_grad():
            present.copy_(value)
    elif isinstance(present, nn.Parameter):
        setattr(owner, last, nn.Parameter(value.detach().clone()))
    else:
        setattr(owner, last, value.detach().clone())


def trainable(net: Supernet) -> dict[str, nn.Parameter]:
    """Parameters of everything the present stage executes, by name: stem, cells and their live operations, head."""
    modules = [*net.executed(), net.head(), net.stem]
    if net.stem_kind == "imagenet":
        modules.append(net.stem1)
    wanted = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name: parameter for name, parameter in net.named_parameters() if id(parameter) in wanted}
