"""What came back of a search's proposals that are runs of their own."""

from __future__ import annotations

from bench.run.evaluators.base import Scored
from bench.run.phases.context import RunContext


def scores_before(run: RunContext) -> list[Scored]:
    """Of all proposals of the rounds that a run waits for, in their order; empty in the first round."""
    needed = [record for record in map(run.needed, run.info.needs) if record.info.phase == "score"]
    results = [run.result or {} for run in sorted(needed, key=lambda run: run.info.proposal or 0)]
    told = [Scored(*values) for values in results[0]["told"]] if results else []
    own: dict[str, Scored] = {}
    for result in results:
        if result["scored"] is None:  # the same as an earlier one of the round
            told.append(own[result["architecture"]].again())
        else:
            told.append(own.setdefault(result["architecture"], Scored(*result["scored"])))
    return told
