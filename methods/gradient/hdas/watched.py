"""The figures of H-DAS' searches."""

from __future__ import annotations

from methods.parts.watched import ENTROPY, NEAR_UNIFORM, OPERATIONS, SKIPS, UNIFORM
from methods.watched import Flag, Watched

STAGES = (1, 2, 3)
NORMAL = {f"arch/entropy_normal{stage}": f"stage {stage}" for stage in STAGES}
REDUCE = {f"arch/entropy_reduce{stage}": f"reduction cell {stage}" for stage in STAGES[:2]}
COLLAPSED = {f"arch/skips_normal{stage}": f"stage {stage}" for stage in STAGES}
UNDECIDED = "a search that ends at {:.0%} of the entropy of equal gates or above, mean over {},"

CELLS = (
    OPERATIONS,
    Watched(
        "skips-by-stage", SKIPS.title, COLLAPSED, SKIPS.axis,
        "Skip connections of each stage's normal cell, of 8 edges",
        flag=Flag("collapsed", "a search that ends with 4 or more, mean over the stages,", tuple(COLLAPSED), 4),
    ),
    Watched(
        "entropy-by-stage", "Entropy of the normal cells", NORMAL, ENTROPY.axis,
        "Entropy of the operations' gates of each stage's normal cell, mean over its edges",
        flag=Flag(
            "near-uniform", UNDECIDED.format(NEAR_UNIFORM, "the stages' normal cells"), tuple(NORMAL), NEAR_UNIFORM,
            UNIFORM,
        ),
    ),
    Watched(
        "entropy-of-reductions", "Entropy of the reduction cells", REDUCE, ENTROPY.axis,
        "Entropy of the operations' gates of each reduction cell, mean over its edges",
    ),
)  # fmt: skip
STAGES_OF_CELLS = (
    OPERATIONS,
    Watched(
        "stage-entropy", "Entropy of the stages' edges", {f"arch/entropy_stage{n}": f"stage {n}" for n in STAGES},
        ENTROPY.axis, "Entropy of the gates of what stands between the cells of a stage, mean over its edges",
    ),
    Watched(
        "stage-paths", "Mean path in a stage", {f"stages/path_stage{n}": f"stage {n}" for n in STAGES}, "cells",
        "Mean length of the paths to the cells of each stage that would be derived",
    ),
)  # fmt: skip
DISTRIBUTION = (
    *STAGES_OF_CELLS,
    Watched(
        "stage-cells", "Cells of a stage", {f"stages/cells_stage{n}": f"stage {n}" for n in STAGES}, "cells",
        "Number of cells of each stage that would be derived",
    ),
)  # fmt: skip
