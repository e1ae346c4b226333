"""The colours of figures: one for each method and operation everywhere, readable without colour vision."""

from __future__ import annotations

INK, MUTED, GRID, PAPER = "#1b1f24", "#5a646f", "#d5dae0", "#ffffff"
"""Text and axes, secondary text, grid, background of figures saved to files; in the page they follow its theme."""

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8f7a00", "#7f5fc7")
"""Okabe and Ito's palette (Color Universal Design, 2008), its yellow darkened, its black replaced by a violet: all
stand out from white and from the page's dark ground."""

OPERATION_COLOURS = {
    "max_pool_3x3": "#e69f00",
    "avg_pool_3x3": "#8f7a00",
    "skip_connect": "#cc3311",
    "sep_conv_3x3": "#0072b2",
    "sep_conv_5x5": "#56b4e9",
    "dil_conv_3x3": "#009e73",
    "dil_conv_5x5": "#66c2a5",
    "sep_conv_7x7": "#00437a",
    "dil_conv_7x7": "#2f6b57",
    "conv_3x1_1x3": "#cc79a7",
    "conv_7x1_1x7": "#9b4f8a",
    "group_conv_3x1_1x3": "#6a3d9a",
    "nor_conv_1x1": "#b15928",
    "nor_conv_3x3": "#8c3f12",
    "k3e3": "#9bd3f2",
    "k3e6": "#56b4e9",
    "k5e3": "#e6b34d",
    "k5e6": "#e69f00",
    "k7e3": "#5fc4a5",
    "k7e6": "#009e73",
    "zero": "#cc3311",
    "none": "#5a646f",
    "noise": "#5a646f",
}
