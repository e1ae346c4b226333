"""Costs that are a sum over choices: a constant, and a number for every option of every decision.

What a latency table is, and what parameters and MACs are in every space that has a relaxation here: each candidate has
the widths of its place, whatever stands elsewhere. The mean over independent choices is then the sum of the numbers,
each times how often its option is expected, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.domain import MethodError
from methods.parts.choices import Choices
from methods.parts.gates import Gates
from methods.spaces.relaxation import Relaxation

EXACT = 1e-9
"""Largest error of a sum, as a share of the cost, that rounding explains."""
CHECKED = 20
"""Architectures that a new table is checked on."""


@dataclass
class Additive:
    """Attributes:
    choices, chosen: of gates and of an architecture (`methods.spaces.relaxation`).
    table: by kind of cell, (decisions, options), float64.
    constant: what is there whatever is chosen.
    """

    name: str
    unit: str
    choices: Callable[[Mapping[str, Gates]], Choices]
    chosen: Callable[[Architecture], Choices]
    table: Mapping[str, Tensor]
    constant: float
    told: Mapping[str, Any] = field(default_factory=dict)
    moved: dict[torch.device, dict[str, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    def discrete(self, architecture: Architecture) -> float:
        return self.constant + sum((rows * self.table[kind]).sum().item() for kind, rows in self._known(architecture))

    def _known(self, architecture: Architecture) -> Iterator[tuple[str, Tensor]]:
        chosen = self.chosen(architecture)
        missing = set(chosen) - set(self.table)
        if missing:
            raise MethodError(f"the table of {self.name} has no '{min(missing)}', which this architecture has")
        yield from chosen.items()

    def expected(self, gates: Mapping[str, Gates]) -> Tensor:
        """See `Cost.expected`; in the gates' precision."""
        choices = self.choices(gates)
        device = next(iter(choices.values())).device
        if device not in self.moved:
            self.to(device)
        table = self.moved[device]
        return (
            self.constant + torch.stack([(rows * table[kind].to(rows)).sum() for kind, rows in choices.items()]).sum()
        )

    def to(self, device: torch.device) -> Additive:
        self.moved[device] = {kind: rows.to(device) for kind, rows in self.table.items()}
        return self


def tabulate(name: str, unit: str, relaxed: Relaxation, discrete: Callable[[Architecture], float]) -> Additive:
    """The table of a cost that is known of every architecture and is a sum over choices.

    One architecture is priced, and for every option one that has it and is otherwise like the first as far as it can
    be; the table is what explains them all.

    Raises:
        MethodError: nothing does, because it is no such sum.
    """
    generator = torch.Generator().manual_seed(0)
    base = _drawn(relaxed, generator)
    priced = [relaxed.derive(base), *(relaxed.derive(gates) for gates in _each_option(relaxed, base))]
    costs = torch.tensor([discrete(each) for each in priced], dtype=torch.float64)
    stands = torch.tensor([name in relaxed.candidates for name in relaxed.topology.operations])
    rows = torch.stack([_flat({k: rows * stands for k, rows in relaxed.chosen(each).items()}) for each in priced])
    system = torch.cat([torch.ones(len(rows), 1, dtype=torch.float64), rows], dim=1)
    scale = costs.abs().max().clamp_min(1e-300)
    solved = torch.linalg.lstsq(system, costs[:, None] / scale, driver="gelsd").solution[:, 0] * scale
    shapes = {kind: each.options.shape for kind, each in base.items()}
    parts = solved[1:].split([shape.numel() for shape in shapes.values()])
    table = {kind: part.view(shape).clone() for (kind, shape), part in zip(shapes.items(), parts, strict=True)}
    found = Additive(name, unit, relaxed.choices, relaxed.chosen, table, solved[0].item())
    for each in (relaxed.derive(_drawn(relaxed, generator)) for _ in range(CHECKED)):
        if abs(found.discrete(each) - discrete(each)) > EXACT * scale:
            raise MethodError(f"{name} of {relaxed.space} is no sum over its choices: it has no table")
    return found


def _flat(choices: Choices) -> Tensor:
    return torch.cat([rows.flatten() for rows in choices.values()])


def _drawn(relaxed: Relaxation, generator: torch.Generator) -> dict[str, Gates]:
    """Random gates, in which an option that a decision does not have has none."""
    _, decisions, options = relaxed.topology.shape

    def one() -> Gates:
        drawn = 0.5 + torch.rand(decisions, options, generator=generator, dtype=torch.float64)
        for place in relaxed.topology.absent:
            drawn[place] = 0.0
        return Gates(drawn, torch.ones(decisions, dtype=torch.float64))

    return {kind: one() for kind in relaxed.topology.kinds}


def _each_option(relaxed: Relaxation, base: Mapping[str, Gates]) -> Iterator[dict[str, Gates]]:
    """The gates with each option in turn so strong that it is derived, alone in its decision."""
    absent = set(relaxed.topology.absent)
    for kind, gates in base.items():
        for row, column in torch.cartesian_prod(*map(torch.arange, gates.options.shape)).tolist():
            if (row, column) not in absent:
                options = gates.options.clone()
                options[row] = 0.0
                options[row, column] = 10.0
                yield {**base, kind: Gates(options, gates.weights)}
