"""The figures of `methods.parts.monitor`'s values, which searches over operations share."""

from __future__ import annotations

from methods.watched import Flag, Watched

NEAR_UNIFORM = 0.99
"""Share of the largest entropy, log of the number of candidates, from which gates count as near-uniform. At .99 the
logarithms of the eight gates of an edge have a standard deviation of .2: the largest is some
30 % above the mean (of eight normal values the largest lies 1.4 deviations above)."""
UNIFORM = "arch/entropy_uniform"
ENTROPIES = {"arch/entropy_normal": "normal cells", "arch/entropy": "", "arch/entropy_reduce": "reduction cells"}
COUNTED = {"arch/skips_normal": "", "arch/skips": ""}

OPERATIONS = Watched(
    "operations", "Operations during the search", {"arch/operations/": ""}, "operations",
    "Operations of the cells the search would end with at each epoch", "shares",
)  # fmt: skip
SKIPS = Watched(
    "skips", "Skip connections", COUNTED, "skip connections",
    "Skip connections of the normal cell (of 8 edges in the DARTS space), or of the only kind of cell there is "
    "(of 6 in NAS-Bench-201)",
    flag=Flag("collapsed", "a search that ends with 4 or more", tuple(COUNTED), 4),
)  # fmt: skip
ENTROPY = Watched(
    "entropy", "Entropy", ENTROPIES, "entropy (nats)",
    "Entropy of the operations' gates, mean over the edges of a cell",
    flag=Flag(
        "near-uniform", f"a search that ends at {NEAR_UNIFORM:.0%} of the entropy of equal gates or above, mean over "
        "the kinds of cells,", tuple(ENTROPIES), NEAR_UNIFORM, UNIFORM,
    ),
)  # fmt: skip
USUAL = (OPERATIONS, SKIPS, ENTROPY)
"""What every search over operations has."""
