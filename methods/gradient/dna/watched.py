"""The figures of DNA's searches."""

from __future__ import annotations

from methods.watched import Watched

DNA = (
    Watched(
        "adaptation", "Adaptation to a budget",
        {"dna/expected": "expected", "dna/likely": "of the most likely network"},
        "MACs over the target", "MACs over the target: their mean over the networks that are drawn, and those of the "
        "most likely one",
    ),
    Watched(
        "adapted-blocks", "Blocks of the adapted network", {"dna/blocks": ""}, "blocks",
        "Blocks of the network that is adapted",
    ),
    Watched(
        "window-widths", "Windows over widths", {"dna/windows": ""}, "share of the width",
        "How far a window reaches to either side, mean over the widths, as a share of each",
    ),
)  # fmt: skip
