"""What a supernet of MGAS is, whatever it is made of: cells one after another, in three stages with a head each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.structure import LAST_STAGE, Plan, Structure, edges_of_nodes

ROLES = ("weight", "alpha", "kappa", "t_operation", "t_filter", "t_input", "t_weight")
"""What a parameter is for: module weights, gates of operations and filters, thresholds."""


def role(name: str) -> str:
    """The role of a parameter, by the last part of its name."""
    last = name.rsplit(".", 1)[-1]
    return last if last in ROLES else "weight"


class Supernet(nn.Module, ABC):
    """All cells, their heads, and the architecture parameters, thresholds and masks within.

    `forward(images)` runs the cells of the present stage and all earlier ones, and gives that stage's logits
    (batch, num_classes); later cells and other heads are not executed. Of the cells' arrays see `SearchCell`.

    Attributes:
        stage: 0, 1 or 2.
        operation_gates, operation_masks: (K, E, O) of the K executed cells in the last forward pass.
        strength: lambda, on the device. epoch_sums: cross entropy, lambda * l_cost and steps of this epoch.
    """

    cells: nn.ModuleList
    strength: Tensor
    epoch_sums: Tensor

    def __init__(self, plan: Plan, structure: Structure, discretisation: Discretisation) -> None:
        super().__init__()
        self.plan, self.structure, self.discretisation = plan, structure, discretisation
        self.stage = LAST_STAGE
        self.register_buffer("strength", torch.zeros(()))
        self.register_buffer("epoch_sums", torch.zeros(3))
        self.operation_gates = self.operation_masks = torch.empty(0)

    # -- what a space says of its supernet

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """What `operation_names` can hold."""

    @abstractmethod
    def operation_names(self) -> list[str]:
        """One for every committed operation, and for every place without one, if that is an operation of the space."""

    @abstractmethod
    def around(self) -> list[nn.Module]:
        """What is executed in the present stage beside cells."""

    def needed(self, cells: Sequence[SearchCell]) -> Tensor | None:
        """(K,) bool: the cells in which every node keeps an operation; None where all are such."""
        return None

    def counted(self) -> Tensor | None:
        """(E, N): the edges on which L_cost counts the operations of a node; None for its own."""
        return None

    # -- cells

    @property
    def nodes(self) -> Tensor:
        """(E, N): 1 where the edge enters the node."""
        return edges_of_nodes(self.structure.nodes, self.strength.device)

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

    def gates(self, cells: Sequence[SearchCell]) -> Tensor:
        """(K, E, O): sigmoid(alpha), 0 for removed operations."""
        return torch.stack([cell.alpha for cell in cells]).sigmoid() * self.committed(cells)

    def committed(self, cells: Sequence[SearchCell]) -> Tensor:
        """(K, E, O) bool: operations that are not removed."""
        return torch.stack([cell.operation_mask for cell in cells])

    def coefficients(self, cells: Sequence[SearchCell]) -> Tensor:
        """(K, E, O): gate times mask of each operation in this step."""
        gates = self.gates(cells)
        thresholds = torch.stack([cell.t_operation for cell in cells])
        masks = self.discretisation.operation_masks(
            gates, self.committed(cells), thresholds, self.nodes, self.needed(cells)
        )
        if self.training:
            for cell, mask in zip(cells, masks.detach() > 0, strict=True):
                cell.operation_now.copy_(mask)
        self.operation_gates, self.operation_masks = gates, masks
        return gates * masks

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over another supernet's state dict, with its removed operations and narrowed widths."""
        for index in range(self.plan.cells):
            cell = self.cell(index)
            prefix = f"cells.{index}.operations."
            kept = {name[len(prefix) :].split(".", 1)[0] for name in tensors if name.startswith(prefix)}
            for slot in self.structure.slots:
                if cell.module_name(slot) not in kept:
                    cell.remove_operation(slot)
        device = self.strength.device
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
    """Parameters of everything the present stage executes, by name: cells with their live operations, stem and head."""
    modules = [*net.executed(), *net.around()]
    wanted = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name: parameter for name, parameter in net.named_parameters() if id(parameter) in wanted}
