"""Narrowing of chains: every block loses the inner channels that were removed, and computes the same as before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence

import torch
from torch import Tensor

from methods.gradient.mgas.chains.blocks import PrunedBlock
from methods.gradient.mgas.chains.supernet import ChainSupernet
from methods.gradient.mgas.cuts import Cut, apply_cuts
from methods.gradient.mgas.structure import Slot
from methods.gradient.mgas.switches import Switches

PlaceChannels = dict[Slot, Tensor]
"""The inner channels that each living block of a place keeps: indices into the present ones (CPU, int64, ascending)."""


def plan_narrowing(
    net: ChainSupernet,
    switches: Switches,
    cells: Collection[int],
    pinned: Collection[int],
    dropped: Mapping[int, Collection[Slot]] | None = None,
) -> list[PlaceChannels]:
    """See `methods.gradient.mgas.space.PlanNarrowing`. Widths between blocks stay, so that `pinned` decides nothing."""
    plans = []
    for index in range(net.plan.cells):
        place, gone = net.cell(index), (dropped or {}).get(index, ())
        living = [slot for slot in place.slots if slot not in gone]
        plans.append({slot: _kept(place.block(slot), index in cells) for slot in living})
    return plans


def _kept(block: PrunedBlock, free: bool) -> Tensor:
    """All channels that are not removed; one where all are (which the switch `empty_operation: keep` lets stand)."""
    if not free:
        return torch.arange(block.inner)
    kept = block.norm2.mask.cpu().nonzero().flatten()
    return kept if len(kept) else block.norm2.kappa.detach().cpu().argmax()[None]


def whole(net: ChainSupernet) -> list[PlaceChannels]:
    """The plan that narrows nothing."""
    return plan_narrowing(net, Switches(), (), ())


def cuts(net: ChainSupernet, plans: Sequence[PlaceChannels]) -> dict[str, Cut]:
    """What a plan means for every parameter and buffer, by name; tensors that are not named stay whole."""
    result: dict[str, Cut] = {}
    for index, plan in enumerate(plans):
        for slot, channels in plan.items():
            prefix = f"cells.{index}.operations.{net.cell(index).module_name(slot)}"
            for layer, dim in (("expand", 0), ("depthwise", 0), ("project", 1)):
                result |= {f"{prefix}.{layer}.{name}": ((dim, channels),) for name in ("weight", "mask")}
            for norm, more in (("norm1", ()), ("norm2", ("kappa", "mask"))):
                names = ("weight", "bias", "running_mean", "running_var", *more)
                result |= {f"{prefix}.{norm}.{name}": ((0, channels),) for name in names}
    return result


def narrow(
    net: ChainSupernet, plans: Sequence[PlaceChannels], momentum: MutableMapping[str, Tensor] | None = None
) -> None:
    """Cut the supernet to a plan.

    Args:
        momentum: momentum buffers by parameter name; cut in place of the mapping.
    """
    apply_cuts(net, cuts(net, plans), momentum)
    for index in range(net.plan.cells):
        net.cell(index).rebuild()
