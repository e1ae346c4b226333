"""GDAS: one operation of every edge by a hard Gumbel-softmax (Dong and Yang, CVPR 2019, arXiv 1910.04465).

Softmax over all candidates, a hard Gumbel draw of one, which alone is run, a temperature that falls from 10 to .1; one
draw of each kind of cell a forward pass, shared by the cells of that kind. With a fixed reduction cell (FRC) only the
normal cell is searched, beside the authors' hand-made one.

An architecture is derived by either of two rules. Released (`derive: pairs`): the two best pairs of predecessor and
operation of every node, which may come from one predecessor; such a cell is no cell of `darts_cell` and is written in
`general_cell`, with DARTS' conventions. DARTS' own (`derive: edges`): two different predecessors. In NAS-Bench-201 each
edge keeps its best operation.

In the code released for NAS-Bench-201 the gates of what was not chosen, whose values are zero, are added to every pixel
of an edge's output: nothing changes in the forward pass, and their gradients become sums of the output's. That is
`add_unchosen_gates`; the code for DARTS' cells has not got it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch

from methods.base import MethodError
from methods.domain import within
from methods.gradient.alternating import Composition
from methods.gradient.path_search import PathOptions, PathSearch
from methods.parts.choices import hard_two_pairs, two_pairs
from methods.parts.executors.unchosen_gates import with_unchosen_gates
from methods.parts.gates import Gates, Logits
from methods.parts.parameterisation import Softmax
from methods.parts.samplers.hard_gumbel import HardGumbel
from methods.registry import register
from methods.spaces.cell.fixed_reduction import WIDTH, fixed_reduction
from methods.spaces.cell.supernet import derive_pairs
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.relaxation import Relaxation


@dataclass(frozen=True)
class GDASOptions(PathOptions):
    """The released settings for CIFAR-10 are the defaults; those for NAS-Bench-201 have batch_size 64.

    Attributes:
        derive: "pairs" or "edges", in darts_cell.
        reduction: "searched", or "fixed" to the authors' (FRC), in darts_cell.
        add_unchosen_gates: as released for NAS-Bench-201; see above.
    """

    epochs: int = 250
    batch_size: int = 256
    cells: int = field(default=6, metadata=within("[3, 200]"))
    weight_decay: float = 5e-4
    nesterov: bool = True
    derive: Literal["pairs", "edges"] = "pairs"
    reduction: Literal["searched", "fixed"] = "searched"
    add_unchosen_gates: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.space != "darts_cell" and (self.reduction != "searched" or self.derive != "pairs"):
            raise MethodError(
                f"reduction={self.reduction!r} and derive={self.derive!r} are about the cells of darts_cell; leave "
                f"them at 'searched' and 'pairs' in {self.space}"
            )
        if self.add_unchosen_gates and self.space not in ("darts_cell", "nasbench201"):
            raise MethodError(f"add_unchosen_gates is about the edges of cells; leave it at false in {self.space}")
        if self.reduction == "fixed" and 2 * self.channels % WIDTH:
            raise MethodError(
                f"channels={self.channels}: the fixed reduction cell has convolutions in {WIDTH} groups and needs "
                f"twice the channels to be a multiple of {WIDTH}"
            )


@register(
    "gdas",
    special="one operation of every edge by a hard Gumbel-softmax, which alone is run",
    paper="Dong and Yang, CVPR 2019, arXiv 1910.04465",
    space="darts_cell, nasbench201, chain_s, chain_xs, chain_imagenet, general_cell",
    watched="methods.gradient.watched:PATHS",
)
class GDAS(PathSearch):
    """Softmax, hard Gumbel draws, single paths; see `GDASOptions`."""

    Options = GDASOptions
    options: GDASOptions
    sampler: HardGumbel

    @classmethod
    def unmeasured(cls, options: GDASOptions) -> str:
        if options.reduction == "searched":
            return ""
        return (
            "reduction=fixed puts the authors' reduction cell into every network, and networks that are drawn from "
            "darts_cell and measured have none of it; search under params or macs, or leave reduction at searched"
        )

    def relaxed(self) -> Relaxation:
        found = super().relaxed()
        if self.options.space != "darts_cell":
            return found
        if self.options.derive == "pairs":
            pairs, hard = partial(two_pairs, topology=TOPOLOGY), partial(hard_two_pairs, topology=TOPOLOGY)
            found = replace(found, derive=derive_pairs, choices=pairs, hard=hard)
        return fixed_reduction(found) if self.options.reduction == "fixed" else found

    def parts(self, relaxed: Relaxation) -> Composition:
        executor = relaxed.single_path()
        return Composition(
            parameterisation=Softmax(relaxed.topology),
            executor=with_unchosen_gates(executor) if self.options.add_unchosen_gates else executor,
        )

    def make_sampler(self, generator: torch.Generator) -> HardGumbel:
        return HardGumbel(generator, self.options.temperature)

    def paths(self, logits: Logits) -> Sequence[Gates]:
        return [self.sampler(logits)]
