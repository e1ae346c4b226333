"""A chain of a dense space drawn at random at a size: blocks, inner channels and masks, the neighbour of MGAS.

Everything is there at first: all six blocks at every place, all their inner channels, all weights. Then units go one by
one, in a random order, until the count has come down to the size asked for:

1. Inner channels: a unit is one channel of one block, which keeps at least one. A share of all of them, drawn uniformly
   from [0, 1], goes in random order.
2. Blocks: all of all places in random order, without the last of each place that cannot be empty; if that is not
   enough, the other inner channels.
3. A unit whose removal would lead below the tolerance is passed over, and the next ones are tried.
4. From the convolutions of the blocks that are left, as many single weights are masked as asked for, every subset of
   that many being equally likely.

Every order is equally likely, so that no block or place is preferred, but for the few units at the end that have to
fit. The draw is not uniform over all chains of that size. One that does not fit in the end is made anew, `ATTEMPTS`
times at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from methods.architecture import Architecture, ArchitectureError
from methods.spaces.base import SizeMatch
from methods.spaces.chain.blocks import block_counts
from methods.spaces.chain.counts import Input, frame_counts, network_counts, sides
from methods.spaces.chain.layout import layout, width_name
from methods.spaces.chain.macro import Macro, Place
from methods.spaces.chain.notation import CANDIDATES, Block, write_chain
from methods.spaces.masked import random_masks

ATTEMPTS = 20


@dataclass
class Candidate:
    """A block at its place, and what is left of it.

    Attributes:
        place: its number.
        fixed, each: what the block adds to the count, and each of its inner channels beside that.
        inner: present channels; 0 without the block.
    """

    place: int
    at: Place
    block: Block
    fixed: int
    each: int
    inner: int

    @property
    def at_first(self) -> int:
        return self.block.expansion * self.at.c_in

    @property
    def count(self) -> int:
        return self.fixed + self.each * self.inner if self.inner else 0


def draw_dense_at_size(
    name: str, macro: Macro, generator: torch.Generator, match: SizeMatch, given: Input
) -> Architecture:
    """A random chain whose count `match.on` is `match.value`, or less by at most `match.tolerance` of it.

    Its scale is the other one's; its provenance has its sizes and, as MGAS' has, the share of units left at each place.

    Args:
        name: of the dense space. macro: its macro-architecture.

    Raises:
        ArchitectureError: the size is not between those of the smallest and the largest chain, no draw came within
            the tolerance, or there are fewer weights than should be masked.
    """
    size = macro.scaled(match.scale.get("channels", macro.stem))
    _refuse_out_of_reach(name, size, match, given)
    for _ in range(ATTEMPTS):
        candidates = _all(size, match.on, given)
        if _removed_down_to(match, candidates, frame_counts(size, given)[match.on == "macs"], generator):
            return _architecture(name, macro, candidates, match, given, generator)
    raise ArchitectureError(
        f"{ATTEMPTS} random draws came no nearer than {match.tolerance:.2%} below {match.on} = {match.value:,.0f} in "
        f"{name}; allow more with a larger tolerance of 'match'"
    )


def _all(macro: Macro, on: str, given: Input) -> list[Candidate]:
    """Every block at every place, whole. A block's count is linear in its inner channels."""
    places, found = list(macro.places()), []
    for number, (place, side) in enumerate(zip(places, sides(macro, places, given), strict=True)):
        for block in CANDIDATES:
            one, two = (getattr(block_counts(block, place.c_in, place.c_out, n, *side), on) for n in (1, 2))
            found.append(Candidate(number, place, block, 2 * one - two, two - one, block.expansion * place.c_in))
    return found


def _refuse_out_of_reach(name: str, macro: Macro, match: SizeMatch, given: Input) -> None:
    frame, candidates = frame_counts(macro, given)[match.on == "macs"], _all(macro, match.on, given)
    needed = {c.place for c in candidates if not c.at.keeps_shape}
    least = frame + sum(min(c.fixed + c.each for c in candidates if c.place == place) for place in needed)
    most = frame + sum(c.count for c in candidates)
    if not (least <= match.value and (1 - match.tolerance) * match.value <= most):
        raise ArchitectureError(
            f"{match.on} = {match.value:,.0f} is to be matched, and chains of {name} with {macro.stem} channels in the "
            f"stem have from {least:,} to {most:,}"
        )


def _order(candidates: list[Candidate], generator: torch.Generator) -> Iterator[tuple[Candidate, bool]]:
    """All units that may go, in the order in which they do: the block, and whether it is one of its channels alone."""
    spare = torch.tensor([c.at_first - 1 for c in candidates])
    channels = torch.repeat_interleave(torch.arange(len(candidates)), spare)
    channels = channels[torch.randperm(len(channels), generator=generator)]
    share = int(torch.randint(len(channels) + 1, (), generator=generator))
    shuffled = [candidates[n] for n in torch.randperm(len(candidates), generator=generator).tolist()]
    last = {c.place: c for c in shuffled if not c.at.keeps_shape}
    for n in channels[:share].tolist():
        yield candidates[n], True
    for candidate in shuffled:
        if last.get(candidate.place) is not candidate:
            yield candidate, False
    for n in channels[share:].tolist():
        yield candidates[n], True


def _removed_down_to(match: SizeMatch, candidates: list[Candidate], frame: int, generator: torch.Generator) -> bool:
    """Take units from the candidates until the size is the one asked for, or less within the tolerance.

    Returns whether it has come to that.
    """
    low, high = (1 - match.tolerance) * match.value, match.value
    size = frame + sum(c.count for c in candidates)
    for candidate, channel in _order(candidates, generator):
        if size <= high:
            break
        less = candidate.each if channel else candidate.count
        if not candidate.inner or size - less < low:
            continue
        candidate.inner = candidate.inner - 1 if channel else 0
        size -= less
    return low <= size <= high


def _architecture(
    name: str, macro: Macro, candidates: list[Candidate], match: SizeMatch, given: Input, generator: torch.Generator
) -> Architecture:
    places = [[c for c in candidates if c.place == n and c.inner] for n in range(sum(s.blocks for s in macro.stages))]
    shapes: dict[str, torch.Size] = {}
    widths: dict[str, int] = {}
    for number, living in enumerate(places):
        for n, c in enumerate(living):
            shapes |= {f"slots.{number}.blocks.{n}.{layer}.weight": shape for layer, shape in _shapes(c).items()}
            if c.inner != c.at_first:
                widths[width_name(number, n)] = c.inner
    masks = random_masks(generator, shapes, match.masked)
    chosen = iter(tuple(c.block for c in living) for living in places)
    stages = [[next(chosen) for _ in range(stage.blocks)] for stage in macro.stages]
    drawn = Architecture(name, {"chain": write_chain(stages)}, scale=dict(match.scale), widths=widths, masks=masks)
    size = macro.scaled(match.scale.get("channels", macro.stem))
    counts = network_counts(size, layout(drawn, macro), given)
    masked = {key: mask.numel() - int(mask.sum()) for key, mask in masks.items()}
    nonzero = counts.params - sum(masked.values())
    told = {
        "sizes": {"params": counts.params, "params_nonzero": nonzero, "macs": counts.macs},
        "remaining_ratios": _ratios(places, masked),
    }
    return Architecture(drawn.space, drawn.genotype, drawn.scale, widths, masks, told)


def _shapes(candidate: Candidate) -> dict[str, torch.Size]:
    """Of the convolutions of a built block."""
    inner, kernel, at = candidate.inner, candidate.block.kernel, candidate.at
    return {
        "expand": torch.Size((inner, at.c_in, 1, 1)),
        "depthwise": torch.Size((inner, 1, kernel, kernel)),
        "project": torch.Size((at.c_out, inner, 1, 1)),
    }


def _ratios(places: list[list[Candidate]], masked: dict[str, int]) -> dict[str, list[Any]]:
    """The share of units left at each place; 1 for channels and weights where nothing stands."""
    filters, weights = [], []
    for number, living in enumerate(places):
        total = sum(shape.numel() for c in living for shape in _shapes(c).values())
        gone = sum(count for name, count in masked.items() if name.startswith(f"slots.{number}."))
        filters.append(sum(c.inner for c in living) / sum(c.at_first for c in living) if living else 1.0)
        weights.append(1.0 - gone / total if total else 1.0)
    ratios = {"operation": [len(living) / len(CANDIDATES) for living in places], "filter": filters, "weight": weights}
    return {level: [round(share, 4) for share in shares] for level, shares in ratios.items()}
