"""The operations of cells: the candidates of DARTS (Liu et al., ICLR 2019, section 3.1.1 and its released code), and
those of the cells that were published in other spaces (docs/cells.md). A file a family; `base.py` says what it has.
"""

from __future__ import annotations

from torch import nn

from methods.spaces.operation_names import (
    AVG_POOL,
    DIL_3,
    DIL_5,
    DILATED,
    KNOWN,
    MAX_POOL,
    NONE,
    NOTHING,
    OPERATIONS,
    POOLS,
    SEP_3,
    SEP_5,
    SEPARABLE,
    SKIP,
    has_inner_width,
    is_pool,
    keeps_width,
)  # fmt: skip
from methods.spaces.operations.base import Operation, Place, get_operation, register_operation
from methods.spaces.operations.projections import FactorizedReduce, ReLUConvBN

__all__ = [
    "AVG_POOL",
    "DILATED",
    "DIL_3",
    "DIL_5",
    "KNOWN",
    "MAX_POOL",
    "NONE",
    "NOTHING",
    "OPERATIONS",
    "POOLS",
    "SEPARABLE",
    "SEP_3",
    "SEP_5",
    "SKIP",
    "FactorizedReduce",
    "Operation",
    "Place",
    "ReLUConvBN",
    "get_operation",
    "has_inner_width",
    "is_pool",
    "keeps_width",
    "make_operation",
    "register_operation",
]  # fmt: skip


def make_operation(
    operation: str,
    c_in: int,
    c_out: int,
    stride: int,
    *,
    affine: bool = True,
    pool_norm: bool = False,
    c_mid: int | None = None,
    c_first: int | None = None,
) -> nn.Module:
    """One operation as a module.

    Args:
        affine: whether batch normalisations have scale and shift (they have not during a DARTS search).
        pool_norm: batch normalisation after a pool: in the DARTS supernet and in retrained MGAS networks.
        c_mid: inner width of an operation that has one; `c_in` where it is not given.
        c_first: channels of the first half of a factorised reduction; half of `c_out` where it is not given.

    Raises:
        ArchitectureError: unknown operation.
        ValueError: one without filters between different widths.
    """
    found = get_operation(operation)
    if keeps_width(operation, stride) and c_in != c_out:
        raise ValueError(f"{operation} cannot change the width from {c_in} to {c_out} channels")
    first = c_out // 2 if c_first is None else c_first
    return found.build(Place(c_in, c_out, stride, c_mid or c_in, first, affine, pool_norm))
