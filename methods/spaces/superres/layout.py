"""What is chosen in the distillation backbone, and how a genotype says it; nothing here needs torch.

Genotype: `{"operations": ["conv_1x1", "sep_conv_7x7", "sep_conv_5x5"], "inputs": [[1, 2], [2, 4], ...]}`, the operation
of each refinement, the same in all blocks, and for blocks 3, 4, 5, 6 the two earlier blocks that they read, ascending.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import refuse_unknown

OPERATIONS = (
    *(f"conv_{k}x{k}" for k in (1, 3, 5, 7)),
    *(f"sep_conv_{k}x{k}" for k in (3, 5, 7)),
    *(f"dil_conv_{k}x{k}" for k in (3, 5)),
)
REFINEMENTS = 3
"""Mixed layers of a block."""
BLOCKS, FIRST = 6, 3
"""Blocks, and the first of them (from 1) that chooses what it reads; those before read the one before them."""
CHOOSING = tuple(range(FIRST, BLOCKS + 1))
CHANNELS = 48


def pairs(block: int) -> list[tuple[int, int]]:
    """What a block may read: two of those before it."""
    return list(itertools.combinations(range(1, block), 2))


def kernel_of(operation: str) -> tuple[str, int]:
    """Kind ("conv", "sep_conv", "dil_conv") and side of the kernel."""
    kind, _, side = operation.rpartition("_")
    return kind, int(side.partition("x")[0])


def check(architecture: Architecture) -> None:
    """Raises ArchitectureError with the cause if a genotype is not of the backbone."""
    genotype = architecture.genotype
    refuse_unknown("key in a genotype of dlsr:", genotype, {"operations", "inputs"})
    operations, inputs = genotype.get("operations"), genotype.get("inputs")
    if not _is_list(operations, REFINEMENTS):
        raise ArchitectureError(f"'operations' of dlsr names {REFINEMENTS} operations, found {shown(operations)}")
    for operation in operations:  # type: ignore[union-attr]
        if operation not in OPERATIONS:
            raise ArchitectureError(f"unknown operation {shown(operation)}; dlsr has {', '.join(OPERATIONS)}")
    if not _is_list(inputs, len(CHOOSING)):
        raise ArchitectureError(f"'inputs' of dlsr has two blocks for each of {len(CHOOSING)}, found {shown(inputs)}")
    for block, chosen in zip(CHOOSING, inputs, strict=True):  # type: ignore[arg-type]
        plain = isinstance(chosen, list | tuple) and all(type(each) is int for each in chosen)
        if not plain or tuple(chosen) not in pairs(block):
            raise ArchitectureError(
                f"block {block} of dlsr reads two of the blocks before it, ascending, as [1, 2]; found {shown(chosen)}"
            )
    _check_scale(architecture)


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == length


def _check_scale(architecture: Architecture) -> None:
    refuse_unknown("scale", architecture.scale, {"channels", "residual"})
    channels = architecture.scale.get("channels", CHANNELS)
    if channels < 4 or channels % 4:
        raise ArchitectureError(f"channels of dlsr are {channels}; its blocks need a multiple of 4")
    if architecture.scale.get("residual", 1) != 1:
        raise ArchitectureError(
            f"residual of dlsr is {architecture.scale['residual']}; it is 1 for a network that adds to the bicubic "
            "interpolation, and left out for the published ones"
        )
    if architecture.widths:
        raise ArchitectureError("a network of dlsr has the width of its scale; leave 'widths' empty")


def inputs_of(genotype: Mapping[str, Any]) -> list[tuple[int, int]]:
    return [(int(first), int(second)) for first, second in genotype["inputs"]]


def genotype_of(operations: Sequence[str], inputs: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Inverse of reading it."""
    return {"operations": list(operations), "inputs": [sorted(each) for each in inputs]}


def upscale(outputs: int, in_channels: int) -> int:
    """The factor of a network that gives `outputs` values for each pixel that it reads.

    Raises:
        ArchitectureError: they are not those of a square of pixels.
    """
    factor = math.isqrt(outputs // in_channels) if in_channels else 0
    if factor < 1 or factor**2 * in_channels != outputs:
        raise ArchitectureError(
            f"a network of dlsr gives a square of pixels for each one; {outputs} outputs with {in_channels} channels "
            "are none. Its task is super_resolution"
        )
    return factor
