"""H-DAS at the level of cells (Hc-DAS; Liu et al., AAAI 2021, arXiv 2101.04028, and its released code).

DARTS with another sharing key: architecture parameters for the normal cells of each of the three stages and for each of
the two reduction cells, five sets in place of two. Nothing else differs from DARTS of first order; with the option
`space: staged_cell`, `darts` is the same search, and other methods search cells by stage, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from methods.gradient.bilevel_search import BilevelOptions, Parts, mixed
from methods.gradient.hdas.as_released import HDAS
from methods.parts.parameterisation import softmax
from methods.registry import register
from methods.spaces.relaxation import Relaxation
from methods.spaces.supernets import refuse_other_sizes

SPACE = "staged_cell"


@dataclass(frozen=True)
class HcDASOptions(BilevelOptions):
    """The released code's settings for CIFAR-10, which are those of DARTS, are the defaults.

    Attributes:
        as_released: the slips of the released code, in place of what its paper says.
    """

    as_released: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_other_sizes(self, SPACE)

    @property
    def searched_space(self) -> str:
        return SPACE


@register(
    "hc_das",
    special="DARTS with cells by stage: three normal and two reduction cells, each with parameters of its own",
    paper="Liu et al., AAAI 2021, arXiv 2101.04028",
    space="staged_cell",
    watched="methods.gradient.hdas.watched:CELLS",
)
class HcDAS(HDAS):
    """Softmax, mixture, first-order gradient over five kinds of cells; see `HcDASOptions`."""

    Options = HcDASOptions

    def parts(self, relaxed: Relaxation) -> Parts:
        o = self.options
        return Parts(
            parameterisation=softmax(relaxed.topology, o.edge_normalisation),
            executor=mixed(relaxed, o),
            gradient=self.gradient(),
        )
