"""Physical narrowing, first half: which channels every layer keeps. Nothing here changes the supernet.

All six states of a cell get one width: the mean of their kept filters, not below a floor. With `narrow: aligned` a
state has one set of channels, shared by everything that writes or reads it; states joined by a pool or an identity
share theirs. The function is preserved exactly if the dropped channels are off in every producer. With `narrow:
separate` (released code) every operation keeps its own best filters, and readers guess.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from methods.gradient.mgas.cells.cell import DenseCell
from methods.gradient.mgas.cells.operations import ConvolutionOperation, Pointwise, Reduction
from methods.gradient.mgas.cells.supernet import CellSupernet
from methods.gradient.mgas.cells.topology import EDGES, STATES
from methods.gradient.mgas.structure import Slot
from methods.gradient.mgas.switches import Switches
from methods.spaces.cell.network import INPUTS


@dataclass
class CellChannels:
    """Channels one cell keeps, as indices into its present channels (CPU, int64, ascending).

    Attributes:
        widths: channels of the six states afterwards.
        inputs: for both preprocessings (columns, filters).
        operations: for every convolution and stride-2 skip its channels in [, middle], out; for a pool's
            normalisation its channels.
        output: channels of the cell's output (its concatenated nodes) that readers still find.
        anew: whether normalisation shift and statistics start anew and all filter masks are one afterwards (released
            code), instead of being cut.
        first_half_gates: whether the second half of a stride-2 layer takes the first half's gates and misplaced scales
            along (released code); see `misplaced`.
    """

    widths: tuple[int, ...]
    inputs: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    operations: dict[Slot, tuple[Tensor, ...]] = field(default_factory=dict)
    output: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    anew: bool = False
    first_half_gates: bool = False


def even(number: int) -> int:
    """The number or the next even one, at least 2."""
    return max(2, number + number % 2)


def common_width(kept: list[int], initial: int, floor: float = 0.5) -> int:
    """Width of a cell from the kept filters of its six states: the mean, the maximum, or the floor."""
    mean = sum(kept) // len(kept)
    mean += mean % 2
    least = even(round(floor * initial))
    if mean >= least:
        return mean
    return max(kept) if max(kept) >= least else least


class Kept:
    """What a cell's committed filter masks say, read once to the host.

    Attributes:
        slots: living operations, without those in `dropped`.
        gates: per normalisation key ("input", n) or (slot, n): (channels,) sigmoid(kappa), 0 where removed.
    """

    def __init__(self, cell: DenseCell, dropped: Collection[Slot] = ()) -> None:
        self.cell = cell
        self.slots = [slot for slot in cell.slots if slot not in dropped]
        kappa, mask = cell.filters.kappa().detach().sigmoid().cpu(), cell.filters.mask.cpu()
        self.q = dict(zip(_keys(cell), kappa.split(cell.filters.channels), strict=True))
        self.mask = dict(zip(_keys(cell), mask.split(cell.filters.channels), strict=True))
        self.strength = {key: self.q[key] * self.mask[key] for key in self.q}
        self.alpha = cell.alpha.detach().sigmoid().cpu()

    def convolutions(self) -> list[Slot]:
        return [slot for slot in self.slots if isinstance(self.cell.operation(slot), ConvolutionOperation)]

    def norms(self, slot: Slot) -> int:
        """Gated normalisations of an operation."""
        module = self.cell.operation(slot)
        return len(module.norms) if isinstance(module, ConvolutionOperation) else int(isinstance(module, Reduction))

    def state_counts(self) -> list[int]:
        """Kept filters of the six states: inputs; the best convolution of each node; else the state before."""
        counts = [even(int(self.mask["input", n].sum())) for n in range(INPUTS)]
        for node in range(INPUTS, STATES):
            kept = [
                int(self.mask[slot, self.norms(slot) - 1].sum())
                for slot in self.convolutions()
                if EDGES[slot[0]][1] == node
            ]
            counts.append(even(max(kept)) if any(kept) else counts[-1])
        return counts


def _keys(cell: DenseCell) -> list[tuple[object, int]]:
    keys: list[tuple[object, int]] = [("input", n) for n in range(INPUTS)]
    for slot in cell.slots:
        module = cell.operation(slot)
        number = len(module.norms) if isinstance(module, ConvolutionOperation) else int(isinstance(module, Reduction))
        keys += [(slot, n) for n in range(number)]
    return keys


def strongest(strength: Tensor, number: int) -> Tensor:
    """Indices of the `number` largest values, ascending; the first of equals."""
    return torch.argsort(strength, descending=True, stable=True)[:number].sort().values


def plan_narrowing(
    net: CellSupernet,
    switches: Switches,
    cells: Collection[int],
    pinned: Collection[int],
    dropped: Mapping[int, Collection[Slot]] | None = None,
) -> list[CellChannels]:
    """Decide the channels of every cell, in order.

    Args:
        cells: cells that may be narrowed; the others only follow at their inputs.
        pinned: cells whose output feeds a classifier and keeps its width.
        dropped: operations per cell to be treated as removed already.
    """
    plans: list[CellChannels] = []
    for index in range(net.plan.cells):
        kept = Kept(net.cell(index), (dropped or {}).get(index, ()))
        free = index in cells and index not in pinned
        initial = net.plan.width(index)
        if switches.narrow == "separate":
            anew = free or (switches.restart == "all" and index in cells)
            plans.append(_separate(kept, plans, free, initial, switches, anew))
        else:
            plans.append(_aligned(kept, plans, free, initial, switches))
    return plans


def _aligned(kept: Kept, before: list[CellChannels], free: bool, initial: int, switches: Switches) -> CellChannels:
    groups = _joined_states(kept)
    present = kept.cell.state_widths
    width = min(common_width(kept.state_counts(), initial, switches.width_floor), *present)
    channels: dict[int, Tensor] = {}
    for group in sorted(set(groups)):
        members = [state for state in range(STATES) if groups[state] == group]
        strength = _state_strength(kept, members)
        if not free:
            channels[group] = torch.arange(len(strength))
        elif switches.width_rule == "mean":
            channels[group] = strongest(strength, width)
        else:
            channels[group] = strongest(strength, even(int((strength > 0).sum())))
    states = [channels[group] for group in groups]
    plan = CellChannels(tuple(len(state) for state in states))
    for n in range(INPUTS):
        plan.inputs.append((_input_columns(kept.cell, n, before), states[n]))
    for slot in kept.slots:
        source, node = (states[state] for state in EDGES[slot[0]])
        if kept.norms(slot):
            plan.operations[slot] = (source, *_middle(kept, slot, free, width, switches), node)
        elif kept.cell.operation(slot) is not None:
            plan.operations[slot] = (node,)
    starts = [sum(present[INPUTS:state]) for state in range(INPUTS, STATES)]
    plan.output = torch.cat([start + state for start, state in zip(starts, states[INPUTS:], strict=True)])
    return plan


def _middle(kept: Kept, slot: Slot, free: bool, width: int, switches: Switches) -> list[Tensor]:
    """Channels inside a separable convolution: at least the cell's width, or exactly the living ones ("lossless")."""
    if kept.norms(slot) < 2:
        return []
    strength = kept.strength[slot, 0]
    if not free:
        return [torch.arange(len(strength))]
    living = even(int(kept.mask[slot, 0].sum()))
    number = living if switches.width_rule == "lossless" else max(width, living)
    return [strongest(strength, number)]


def _joined_states(kept: Kept) -> list[int]:
    """Group of each state; a pool or identity between two states puts them into one group."""
    groups = list(range(STATES))
    for slot in kept.slots:
        if not kept.norms(slot):
            source, node = (groups[state] for state in EDGES[slot[0]])
            groups = [min(source, node) if group in (source, node) else group for group in groups]
    return groups


def _state_strength(kept: Kept, states: list[int]) -> Tensor:
    """(channels,): how strongly the producers of some joined states write each channel; 0 where all are off."""
    total = torch.zeros(kept.cell.state_widths[states[0]])
    for state in states:
        if state < INPUTS:
            total += kept.strength["input", state]
    for slot in kept.slots:
        if kept.norms(slot) and EDGES[slot[0]][1] in states:
            total += kept.alpha[slot] * kept.strength[slot, kept.norms(slot) - 1]
    return total


def _input_columns(cell: DenseCell, n: int, before: list[CellChannels]) -> Tensor:
    """Channels of input n that its producer still writes (all of the stem's)."""
    producer = cell.index - INPUTS + n
    if producer < 0:
        return torch.arange((cell.preprocess0, cell.preprocess1)[n].widths[0])
    return before[producer].output


def _separate(
    kept: Kept, before: list[CellChannels], free: bool, initial: int, switches: Switches, anew: bool
) -> CellChannels:
    """The released rule: every layer ranks its own channels."""
    cell, first = kept.cell, switches.skip_halves == "first"
    present = cell.state_widths
    width = min(common_width(kept.state_counts(), initial, switches.width_floor), *present)
    widths = (width,) * STATES if free else present
    plan = CellChannels(widths, output=torch.arange(sum(widths[INPUTS:])), anew=anew, first_half_gates=first and anew)
    for n, preprocess in enumerate((cell.preprocess0, cell.preprocess1)):
        if isinstance(preprocess, Reduction):
            filters = _best_of_halves(kept, ("input", n), widths[n], preprocess.halves[0], first)
        else:
            filters = _best_filters(kept, ("input", n), widths[n])
        number = len(_input_columns(cell, n, before))
        plan.inputs.append((strongest(_column_norms(preprocess), number), filters))
    for slot in kept.slots:
        module, (source, node) = cell.operation(slot), EDGES[slot[0]]
        if isinstance(module, ConvolutionOperation):
            depthwise = module.convs[0].mask.flatten(1).sum(dim=1).float().cpu()
            middle = []
            if len(module.norms) > 1:
                number = max(widths[source], even(int(kept.mask[slot, 0].sum()))) if free else module.widths[1]
                middle = [_best_filters(kept, (slot, 0), number)]
            out = _best_filters(kept, (slot, len(module.norms) - 1), widths[node])
            plan.operations[slot] = (strongest(depthwise, widths[source]), *middle, out)
        elif isinstance(module, Reduction):
            columns = strongest(_column_norms(module), widths[source])
            out = _best_of_halves(kept, (slot, 0), widths[node], module.halves[0], first)
            plan.operations[slot] = (columns, out)
        elif module is not None:
            plan.operations[slot] = (torch.arange(widths[node]),)
    return plan


def _best_filters(kept: Kept, key: tuple[object, int], number: int) -> Tensor:
    """Kept filters by gate, then the best removed ones."""
    return strongest(kept.mask[key].float() + kept.q[key], number)


def _best_of_halves(kept: Kept, key: tuple[object, int], number: int, half: int, first: bool) -> Tensor:
    """Each half of a stride-2 layer gives its own best; with `first` the gates of the first half rank both."""
    mask, q = kept.mask[key].float(), kept.q[key]
    ranks = (mask[:half] + q[:half], mask[half:] + (q[: len(q) - half] if first else q[half:]))
    return torch.cat([strongest(ranks[0], number // 2), half + strongest(ranks[1], number - number // 2)])


def _column_norms(module: Reduction | Pointwise) -> Tensor:
    """L1 norm of a 1x1 layer's weights for each input channel, CPU."""
    convs = (module.conv_1, module.conv_2) if isinstance(module, Reduction) else (module.conv,)
    return sum((conv["weight"].detach().abs().sum(dim=(0, 2, 3)) for conv in convs), torch.zeros(())).cpu()
