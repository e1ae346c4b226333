"""Where a search stands, as plain values for a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Progress:
    """Where the search stands (plain values).

    Attributes:
        phase: number of the present phase. epoch: finished epochs in it.
        settling: the stage has met its target and trains one more epoch before regrowing.
        target: size at which the stage ends, in millions.
        removed: operations, in this phase. removed_now, regrown_now: in the last epoch. cut: by the
            epoch limit.
        unmet: targets still to be met in the final phase, falling.
        lost: the optimiser has lost the cells (released code, see the switch `rebuild_final`).
        done: no further epoch is wanted.
    """

    phase: int = 0
    epoch: int = 0
    settling: bool = False
    target: float = 0.0
    removed: int = 0
    removed_now: int = 0
    regrown_now: int = 0
    cut: int = 0
    lambda_value: float = 0.0
    lambda_delta: float = 1e-5
    unmet: list[float] = field(default_factory=list)
    lost: bool = False
    done: bool = False
