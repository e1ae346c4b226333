"""Chains as spaces for MGAS; what is found in one is of its dense space."""

from __future__ import annotations

from methods.gradient.mgas.chains.export import counts, export
from methods.gradient.mgas.chains.limit import cut_filters
from methods.gradient.mgas.chains.narrow import narrow, plan_narrowing, whole
from methods.gradient.mgas.chains.supernet import ChainSupernet
from methods.gradient.mgas.chains.topology import ChainPlan
from methods.gradient.mgas.space import PrunableSpace
from methods.spaces.chain.macro import MACROS

SWITCHES = frozenset(
    {"guard", "size", "stop", "empty_operation", "regrow_saturated", "rebuild_final", "threshold_bounds"}
)
"""The others are about what cells share, and about how their release narrowed it."""


def _space(name: str) -> PrunableSpace:
    return PrunableSpace(
        space=name,
        size=(),
        switches=SWITCHES,
        plan=lambda channels, cells: ChainPlan(name),
        supernet=ChainSupernet,
        plan_narrowing=plan_narrowing,
        whole=whole,
        narrow=narrow,
        export=export,
        cut_filters=cut_filters,
        counts=counts,
    )


PRUNABLE = tuple(_space(name) for name in MACROS)
