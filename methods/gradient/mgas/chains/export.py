"""From the supernet of a chain to an `Architecture`: blocks side by side, their inner channels, masks of weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from methods.architecture import Architecture
from methods.base import SearchContext
from methods.gradient.mgas.chains.narrow import PlaceChannels
from methods.gradient.mgas.chains.supernet import ChainSupernet
from methods.gradient.mgas.cuts import take
from methods.gradient.mgas.structure import Slot
from methods.spaces.base import NetworkSettings
from methods.spaces.chain.layout import width_name
from methods.spaces.chain.macro import DENSE
from methods.spaces.chain.notation import CANDIDATES, Chosen, write_chain
from methods.spaces.chain.space import DenseChainSpace

CONVOLUTIONS = (("expand", 0), ("depthwise", 0), ("project", 1))
"""Of a built block in the order of a candidate's, with the dimension of the inner channels."""


def export(
    net: ChainSupernet,
    plans: Sequence[PlaceChannels],
    dropped: Mapping[int, Collection[Slot]] | None = None,
    with_masks: bool = True,
) -> Architecture:
    """See `methods.gradient.mgas.space.Export`. Masks are given for those convolutions that lose single weights."""
    chosen: list[Chosen] = []
    widths: dict[str, int] = {}
    masks: dict[str, Tensor] = {}
    for index, plan in enumerate(plans):
        place = net.cell(index)
        living = [slot for slot in place.slots if slot not in (dropped or {}).get(index, ())]
        chosen.append(tuple(CANDIDATES[op] for _, op in living))
        for n, slot in enumerate(living):
            channels, block = plan[slot], place.block(slot)
            if len(channels) != place.inner_at_first(slot):
                widths[width_name(index, n)] = len(channels)
            if not with_masks:
                continue
            for (layer, dim), mask in zip(CONVOLUTIONS, block.effective_masks(), strict=True):
                narrowed = take(mask.cpu(), ((dim, channels),))
                if not bool(narrowed.all()):
                    masks[f"slots.{index}.blocks.{n}.{layer}.weight"] = narrowed
    places = iter(chosen)
    stages = [[next(places) for _ in range(stage.blocks)] for stage in net.plan.macro.stages]
    return Architecture(DENSE + net.plan.space, {"chain": write_chain(stages)}, widths=widths, masks=masks)


def counts(architecture: Architecture, context: SearchContext) -> dict[str, int]:
    """Parameters (all, and without masked weights) and MACs of the retrained network, in closed form."""
    settings = NetworkSettings(stem=context.stem, in_channels=context.in_channels)
    space = DenseChainSpace(architecture.space)
    dense = space.counts(architecture, context.num_classes, settings, context.image_size)
    masked = sum(mask.numel() - int(mask.sum()) for mask in architecture.masks.values())
    return {"params": dense.params, "params_nonzero": dense.params - masked, "macs": dense.macs}
