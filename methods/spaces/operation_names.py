"""The names of the operations of cells and what follows from a name alone. The modules are in
`methods.spaces.operations`; who only reads genotypes needs no torch.

The candidates of DARTS (Liu et al., ICLR 2019, section 3.1.1 and its released code), and the operations of the cells
that were published in other spaces (docs/cells.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from methods.facts import OperationFacts, own_operations

NONE = "none"
MAX_POOL = "max_pool_3x3"
AVG_POOL = "avg_pool_3x3"
SKIP = "skip_connect"
ZERO = "zero"
"""No block at a place of a chain, whose input goes on alone."""
SEP_3, SEP_5 = "sep_conv_3x3", "sep_conv_5x5"
DIL_3, DIL_5 = "dil_conv_3x3", "dil_conv_5x5"

OPERATIONS = (NONE, MAX_POOL, AVG_POOL, SKIP, SEP_3, SEP_5, DIL_3, DIL_5)
"""The eight candidates, in the order of the released code; the index is the column of alpha."""

POOLS = (MAX_POOL, AVG_POOL)
SEPARABLE = (SEP_3, SEP_5)
DILATED = (DIL_3, DIL_5)
NOTHING = (NONE, ZERO)
"""What leaves an edge of a cell, or a place of a chain, empty."""


class KnownOperations(Mapping[str, OperationFacts]):
    """Every operation that can be built, by name: ours, and those of other packages once they are imported.

    A name that is none of these is looked for in the packages that offer methods (`methods.registry`).
    """

    def __init__(self) -> None:
        self.registered: dict[str, OperationFacts] = {}

    def __getitem__(self, operation: str) -> OperationFacts:
        for known in (own_operations(), self.registered):
            if operation in known:
                return known[operation]
        from methods.registry import broken_plugins

        broken_plugins()
        return self.registered[operation]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*own_operations(), *self.registered}))

    def __len__(self) -> int:
        return len(list(iter(self)))


KNOWN = KnownOperations()


def is_pool(operation: str) -> bool:
    return KNOWN[operation].pool


def has_inner_width(operation: str) -> bool:
    """Whether there are channels inside of the operation that are neither its input's nor its output's."""
    return KNOWN[operation].inner_width


def keeps_width(operation: str, stride: int) -> bool:
    """Whether the operation gives as many channels as it gets, having no filters of its own."""
    return stride in KNOWN[operation].keeps_width_at
