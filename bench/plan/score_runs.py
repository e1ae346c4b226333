"""The runs that score a search's proposals, where the search asks for several at once (`evaluation: {at_once: 4}`).

A round is asked for before one of its proposals is told. All rounds stand in the plan from the beginning, for which
networks they train follows from the scores of the rounds before: run n has the whole search's configuration and its
number, waits for the round before its own, and finds out by asking and telling as the search does what it is to train
(`bench.run.phases.score`). So proposals are runs like all others, here and on a cluster, and the search, which waits
for the last round, has nothing left to train.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.records.run_info import RunInfo


def score_runs(config: Mapping[str, Any], needs: Sequence[str], add: Callable[..., RunInfo]) -> list[str]:
    """Add a run for each proposal of a search; the signatures of the last round, which its search waits for.

    None where proposals are scored one by one, in the search's own run, or where there is only one.

    Args:
        config, needs: of the search.
        add: (phase, configuration, needs) -> a run of the row with the search's seeds.
    """
    at_once, samples = config.get("at_once", 1), config["options"].get("samples", 1)
    if at_once == 1 or samples == 1:
        return []
    last: list[str] = []
    for first in range(0, samples, at_once):
        numbers = range(first, min(first + at_once, samples))
        last = [add("score", {**config, "proposal": n}, needs=[*needs, *last]).signature for n in numbers]
    return last
