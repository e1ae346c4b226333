"""A short training with the experiment's recipe, scored on validation images."""

from __future__ import annotations

from dataclasses import dataclass

from bench.plan.evaluation import Evaluation


@dataclass(frozen=True)
class Options(Evaluation):
    """It has none of its own, and scores in any space that can be built."""

    name = "proxy"
    trains = True
