"""Chains made larger, everywhere wider or a stage deeper by a block, and the weights that the larger one inherits.

The larger network computes at first what the smaller one did (Chen, Goodfellow and Shlens, ICLR 2016): what was there
sees nothing of new channels, whose own weights are as drawn, and a new block adds zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor, nn

from methods.architecture import Architecture
from methods.form import ArchitectureError
from methods.spaces.chain.layout import scaled
from methods.spaces.chain.macro import Macro, macro_of
from methods.spaces.chain.notation import MOST_BLOCKS, Chosen, read_chain, write_chain

Stages = tuple[tuple[Chosen, ...], ...]


def stem_channels(architecture: Architecture) -> int:
    """What `widened` changes.

    Raises:
        ArchitectureError: not a chain, or one whose single blocks or weights were pruned.
    """
    return scaled(architecture, _macro(architecture)).stem


def widened(architecture: Architecture, channels: int) -> Architecture:
    """With so many channels in the stem, and everything else as much wider."""
    _macro(architecture)
    return replace(architecture, scale={**architecture.scale, "channels": channels})


def deepened(architecture: Architecture, stage: int) -> Architecture | None:
    """With another of the stage's last block: at its first empty place or behind all others. None for a full stage."""
    stages = list(_stages(architecture))
    places = list(stages[stage])
    another = next(chosen for chosen in reversed(places) if chosen)
    if () in places:
        places[places.index(())] = another
    elif len(places) < MOST_BLOCKS:
        places.append(another)
    else:
        return None
    stages[stage] = tuple(places)
    return replace(architecture, genotype={"chain": write_chain(stages)})


def stages_of(architecture: Architecture) -> int:
    return len(_macro(architecture).stages)


def inherited(
    before: Architecture, after: Architecture, trained: Mapping[str, Tensor], drawn: nn.Module
) -> dict[str, Tensor]:
    """The state dict of `drawn`, a new network of `after`, that computes what a trained network of `before` does."""
    places = dict(zip(_places(_stages(after)), range(MOST_BLOCKS * stages_of(after)), strict=False))
    old_of_new = {places[place]: old for old, place in enumerate(_places(_stages(before)))}
    found = {}
    for name, tensor in drawn.state_dict().items():
        source = trained.get(_in_old(name, old_of_new))
        found[name] = tensor.clone() if source is None else _enlarged(source, tensor)
        if source is None and name.endswith("norm3.weight"):
            found[name].zero_()
    return found


def _enlarged(source: Tensor, drawn: Tensor) -> Tensor:
    """The old values among new ones, and zero where an old output would see a new input."""
    grown = drawn.clone()
    if source.ndim > 1:
        grown[: source.shape[0], source.shape[1] :] = 0
    grown[tuple(map(slice, source.shape))] = source
    return grown


def _in_old(name: str, old_of_new: Mapping[int, int]) -> str:
    """What a tensor of the larger network was called in the smaller one; of a new place, a name that is none there."""
    head, _, rest = name.partition(".")
    if head != "slots":
        return name
    number, _, within = rest.partition(".")
    return f"slots.{old_of_new.get(int(number), 'new')}.{within}"


def _places(stages: Stages) -> Iterator[tuple[int, int]]:
    return ((stage, place) for stage, places in enumerate(stages) for place in range(len(places)))


def _stages(architecture: Architecture) -> Stages:
    return read_chain(architecture.genotype["chain"], len(_macro(architecture).stages))


def _macro(architecture: Architecture) -> Macro:
    macro = macro_of(architecture.space)
    if macro is None:
        raise ArchitectureError(f"an architecture of {architecture.space} cannot be made larger here: chains can")
    if architecture.widths or architecture.masks:
        raise ArchitectureError("a chain with blocks or weights that were pruned is not made larger")
    return macro
