"""The names of the operations of cells and what follows from a name alone: its family, its size, whether it keeps the
width. The modules are in `methods.spaces.operations`; who only reads genotypes needs no torch.

The candidates of DARTS (Liu et al., ICLR 2019, section 3.1.1 and its released code), and the operations of the cells
that were published in other spaces (docs/cells.md).
"""

from __future__ import annotations

NONE = "none"
MAX_POOL = "max_pool_3x3"
AVG_POOL = "avg_pool_3x3"
SKIP = "skip_connect"
SEP_3, SEP_5 = "sep_conv_3x3", "sep_conv_5x5"
DIL_3, DIL_5 = "dil_conv_3x3", "dil_conv_5x5"

OPERATIONS = (NONE, MAX_POOL, AVG_POOL, SKIP, SEP_3, SEP_5, DIL_3, DIL_5)
"""The eight candidates, in the order of the released code; the index is the column of alpha."""

POOLS = (MAX_POOL, AVG_POOL)
SEPARABLE = (SEP_3, SEP_5)
DILATED = (DIL_3, DIL_5)

NOISE = "noise"
_FAMILIES = {
    "sep_conv": [(f"sep_conv_{k}x{k}", k) for k in (3, 5, 7)],
    "dil_conv": [(f"dil_conv_{k}x{k}", k) for k in (3, 5, 7)],
    "nor_conv": [(f"nor_conv_{k}x{k}", k) for k in (1, 3, 5, 7)],
    "cross_conv": [(f"conv_{k}x1_1x{k}", k) for k in (3, 5, 7)],
    "group_conv": [("group_conv_3x1_1x3", 3)],
    "max_pool": [(f"max_pool_{k}x{k}", k) for k in (3, 5, 7)],
    "avg_pool": [(f"avg_pool_{k}x{k}", k) for k in (3, 5, 7)],
}
KERNEL: dict[str, int] = {name: kernel for members in _FAMILIES.values() for name, kernel in members}
FAMILY: dict[str, str] = {name: family for family, members in _FAMILIES.items() for name, _ in members} | {
    name: name for name in (NONE, SKIP, NOISE)
}
"""Every operation that can be built, and what it is a kind of; `KERNEL` has its size."""


GROUPS = 8
"""Groups of `group_conv_3x1_1x3`: it needs a multiple of as many channels."""


def is_pool(operation: str) -> bool:
    return FAMILY[operation] in ("max_pool", "avg_pool")


def has_inner_width(operation: str) -> bool:
    """Whether there are channels inside of the operation that are neither its input's nor its output's."""
    return FAMILY[operation] in ("sep_conv", "cross_conv")


def keeps_width(operation: str, stride: int) -> bool:
    """Whether the operation gives as many channels as it gets, having no filters of its own."""
    return is_pool(operation) or operation in (NONE, NOISE) or (operation == SKIP and stride == 1)
