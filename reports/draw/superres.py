"""Networks of the distillation backbone, drawn as cells are: the refinements of a block, and what each block reads."""

from __future__ import annotations

from methods.architecture import Architecture
from methods.spaces.superres.layout import BLOCKS, CHOOSING, REFINEMENTS, inputs_of
from reports.draw.cells import CellDrawing


def describe_superres(architecture: Architecture) -> list[CellDrawing]:
    """A drawing of the block and one of the network; none for an architecture of another kind."""
    if architecture.space != "dlsr":
        return []
    operations = tuple(architecture.genotype["operations"])
    block = CellDrawing(
        "every block",
        tuple((operation, number, number + 1, "") for number, operation in enumerate(operations)),
        tuple(range(REFINEMENTS + 1)),
        ("",) * (REFINEMENTS + 1),
        ("input", *(f"refined {number + 1}" for number in range(REFINEMENTS))),
        "each refinement adds to what it reads; output: half the channels of each, fused",
    )
    chosen = zip(CHOOSING, inputs_of(architecture.genotype), strict=True)
    read = (("read", 0, 1, ""), *(("read", source - 1, block - 1, "") for block, pair in chosen for source in pair))
    network = CellDrawing(
        "blocks",
        read,
        tuple(range(BLOCKS)),
        ("",) * BLOCKS,
        tuple(f"block {number + 1}" for number in range(BLOCKS)),
        "a block reads a 1x1 convolution of the two; output: all blocks fused",
    )
    return [block, network]
