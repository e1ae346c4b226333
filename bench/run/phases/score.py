"""The score phase: one proposal of a search whose proposals are runs of their own is found and trained.

The method is the search's, from its configuration and seed; it is told the scores of the rounds before and asked for
this one. So all runs of a round, on whatever machines and in whatever order, train what one search would have, and what
comes back is told in the order of the proposals.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from bench.data.seal import sealed
from bench.records.directory import save_architecture
from bench.run.evaluators import make_evaluator
from bench.run.evaluators.base import Scored
from bench.run.evaluators.proxy import ProxyEvaluator
from bench.run.phases import heeded
from bench.run.phases.context import RunContext, with_provenance
from bench.run.phases.match import size_to_match
from bench.run.phases.search import make_method
from bench.run.rounds import scores_before
from bench.run.search import proposals_to
from methods.base import SamplingSearch


@sealed("the search of a method")
def run_score(run: RunContext) -> dict[str, Any]:
    """Train the proposal, write architecture.json, return the result with the scores of the rounds before.

    One that was proposed before is not trained again; where that was in its own round, its score is not known here.
    """
    number, method, earlier = run.config["proposal"], make_method(run, size_to_match(run)), scores_before(run)
    assert isinstance(method, SamplingSearch)
    asked = proposals_to(number, method, earlier, heeded.preference(run), run.config["at_once"])
    first = next(place for place, each in enumerate(asked) if each.digest == asked[number].digest)
    evaluator = make_evaluator(run)
    assert isinstance(evaluator, ProxyEvaluator)
    scored: Scored | None = None
    if first < len(earlier):
        scored = earlier[first].again()
    elif first == number:
        scored = evaluator.train(asked[number], run.directory, run.info.signature)
    architecture = with_provenance(run, asked[number], method.provenance())
    save_architecture(architecture, run.directory.path)
    seconds, metric = scored.seconds if scored is not None else 0.0, run.task.metric
    return {
        "metrics": {f"valid_{metric.key}": metric.score(scored.score) if scored is not None else None},
        "costs": {
            "peak_memory": scored.peak_memory if scored is not None else None,
            "wall_s": seconds,
            "device_s": seconds,
            "images": scored.images if scored is not None else 0,
        },
        "architecture": architecture.digest,
        "epochs": evaluator.recipe.epochs if first == number else 0,
        "report": {} if first == number else {"proposed before as number": first},
        "told": [list(astuple(each)) for each in earlier],
        "scored": None if scored is None else list(astuple(scored)),
    }
