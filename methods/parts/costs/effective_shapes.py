"""Expected counts of networks whose widths are chosen, fast enough for every step (FBNetV2, CVPR 2020, section 3.3).

The same as `methods.parts.costs.widths.Product.expected`, which says why it is exact, of all layers at once: the table
of each choice, or of two factors that one choice decides, is expected once; then every layer is a product of a few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor

from methods.parts.costs.widths import Product
from methods.parts.gates import Gates


class EffectiveShapes:
    """Args:
    kind: of the gates whose rows are the choices.
    choices: their names, in the order of the rows; each with its number of options.
    """

    def __init__(self, kind: str, choices: Sequence[tuple[str, int]], layers: Sequence[Product]) -> None:
        self.kind, columns = kind, max(options for _, options in choices)
        rows = {name: row for row, (name, _) in enumerate(choices)}
        terms: dict[tuple[str, tuple[float, ...]], int] = {}
        found = []
        for layer in layers:
            weight = layer.weight * prod(each.values[0] for each in layer.factors if each.choice is None)
            tied: dict[str, list[tuple[float, ...]]] = {}
            for each in layer.factors:
                if each.choice is not None:
                    tied.setdefault(each.choice, []).append(each.values)
            tables = [(choice, tuple(map(prod, zip(*values, strict=True)))) for choice, values in tied.items()]
            found.append((weight, [terms.setdefault(table, len(terms)) for table in tables]))
        most = max(len(numbers) for _, numbers in found)
        self.rows = torch.tensor([rows[choice] for choice, _ in terms])
        self.tables = torch.tensor([[*values, *[0.0] * (columns - len(values))] for _, values in terms]).double()
        self.weights = torch.tensor([weight for weight, _ in found]).double()
        self.places = torch.tensor([[*numbers, *[len(terms)] * (most - len(numbers))] for _, numbers in found])

    def expected(self, gates: Mapping[str, Gates]) -> Tensor:
        """0-d, in the gates' precision, with a gradient."""
        options = gates[self.kind].options
        tables, weights = self.tables.to(options), self.weights.to(options)
        means = (options.index_select(0, self.rows.to(options.device)) * tables).sum(dim=-1)
        means = torch.cat([means, torch.ones_like(means[:1])])
        return (means[self.places.to(options.device)].prod(dim=-1) * weights).sum()

    def to(self, device: torch.device) -> EffectiveShapes:
        """Keep what is computed with on the gates' device."""
        self.rows, self.places = self.rows.to(device), self.places.to(device)
        self.tables, self.weights = self.tables.to(device), self.weights.to(device)
        return self
