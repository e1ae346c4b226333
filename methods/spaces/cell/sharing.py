"""The sharing key of cells: which cells of a network hold the same variable, and so the same genotype.

DARTS has one normal and one reduction cell for the whole network (Liu et al., ICLR 2019, section 2.1), H-DAS a normal
cell for each of the three stages and two reduction cells (Liu et al., AAAI 2021, arXiv 2101.04028).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from methods.form import ArchitectureError


def reduction_cells(cells: int) -> tuple[int, int]:
    """Indices of the two reduction cells: one third and two thirds of the depth (DARTS code, NetworkCIFAR)."""
    return cells // 3, 2 * cells // 3


def cell_type(index: int, cells: int) -> str:
    """ "normal" or "reduce"."""
    return "reduce" if index in reduction_cells(cells) else "normal"


def cell_of_stage(index: int, cells: int) -> str:
    """Type and stage, counted from 1: "normal1", "reduce1", "normal2", "reduce2", "normal3"."""
    stage = 1 + sum(index > reduction for reduction in set(reduction_cells(cells)))
    return f"{cell_type(index, cells)}{stage}"


@dataclass(frozen=True)
class Sharing:
    """Attributes:
    kinds: the keys there are; cells of one kind share their variables.
    of: (index of a cell, number of cells) -> its kind.
    cells: fewest cells of a network that has all kinds.
    """

    kinds: tuple[str, ...]
    of: Callable[[int, int], str]
    cells: int

    @staticmethod
    def reduces(kind: str) -> bool:
        """Whether cells of a kind reduce."""
        return kind.startswith("reduce")


BY_TYPE = Sharing(("normal", "reduce"), cell_type, cells=3)
BY_STAGE = Sharing(("normal1", "reduce1", "normal2", "reduce2", "normal3"), cell_of_stage, cells=5)


def sharing_of(genotype: Mapping[str, object]) -> Sharing:
    """By which key the cells of a genotype are shared; of one in which no cell is shared, there is none.

    Raises:
        ArchitectureError: not all cells of a sharing are there.
    """
    for sharing in (BY_TYPE, BY_STAGE):
        if set(sharing.kinds) <= set(genotype):
            return sharing
    raise ArchitectureError(
        f"a cell genotype needs 'normal' and 'reduce', or 'cells', or those of each stage: {', '.join(BY_STAGE.kinds)}"
    )
