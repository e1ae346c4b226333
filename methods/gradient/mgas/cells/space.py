"""Cells of DARTS as a space for MGAS; what is found is of `dense_cell`."""

from __future__ import annotations

from dataclasses import fields

from methods.gradient.mgas.cells.export import export, whole
from methods.gradient.mgas.cells.narrow import plan_narrowing
from methods.gradient.mgas.cells.sizes import counts
from methods.gradient.mgas.cells.slicing import narrow
from methods.gradient.mgas.cells.supernet import CellSupernet
from methods.gradient.mgas.cells.topology import Plan
from methods.gradient.mgas.space import PrunableSpace
from methods.gradient.mgas.switches import Switches

PRUNABLE = (
    PrunableSpace(
        space="darts_cell",
        size=("channels", "cells"),
        switches=frozenset(each.name for each in fields(Switches)),
        plan=Plan,
        supernet=CellSupernet,
        plan_narrowing=plan_narrowing,
        whole=whole,
        narrow=narrow,
        export=export,
        cut_filters=lambda net, reached: 0,  # channels are shared by what lives
        counts=counts,
    ),
)
