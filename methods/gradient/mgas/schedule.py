"""The phases of a search: three stages (or one), then the global final phase."""

from __future__ import annotations

from dataclasses import dataclass

from methods.gradient.mgas.controller import LambdaRule
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.structure import LAST_STAGE, Plan


@dataclass(frozen=True)
class Phase:
    """One phase of the search; cell ranges are half open.

    Attributes:
        stage: whose head is trained; cells after the stage's last are not executed.
        final: the global phase, which goes down to the targets and narrows after every commit.
        ratio: a stage ends when the executed cells have this share of their size at its start.
        own: cells that l_cost covers.
        pruned: cells whose thresholds are pushed and whose masks are committed.
        narrowed: cells to narrow when the phase ends (or, in the final phase, after a commit).
        pinned: cell whose output width the next head needs.
        regrows: whether operations are regrown at the end.
        warmup: epochs in which only weights are trained.
        cap: most epochs of the phase; None for no limit.
        start: lambda after the warm-up.
    """

    number: int
    stage: int
    final: bool
    ratio: float
    own: range
    pruned: range
    narrowed: range
    pinned: int
    regrows: bool
    warmup: int
    cap: int | None
    rule: LambdaRule
    start: float


def phases(options: MGASOptions, plan: Plan, pace: float = 1.0) -> list[Phase]:
    """The phases that some options ask for, in order; `pace` is what lambda is multiplied by."""
    result = []
    caps = options.by_phase("phase_epochs") or (None,) * options.phases
    for number in range(options.phases):
        final = number == options.phases - 1
        stage = LAST_STAGE if final or options.stages == 1 else number
        end = plan.stage_ends[stage] + 1
        begin = 0 if final or options.stages == 1 or stage == 0 else plan.stage_ends[stage - 1] + 1
        following = min(stage + 1, LAST_STAGE)
        result.append(
            Phase(
                number=number,
                stage=stage,
                final=final,
                ratio=1.0 if final else options.by_phase("stage_ratios")[number],
                own=range(begin, end),
                pruned=range(0 if options.reevaluation else begin, end),
                narrowed=range(plan.stage_ends[following] + 1),
                pinned=plan.stage_ends[following],
                regrows=options.reevaluation and not final and stage > 0,
                warmup=options.by_phase("warmup_epochs")[number],
                cap=caps[number],
                rule=_rule(options, number, pace),
                start=options.by_phase("lambda_start")[number] * pace,
            )
        )
    return result


def _rule(options: MGASOptions, number: int, pace: float) -> LambdaRule:
    return LambdaRule(
        delta=options.lambda_delta * pace,
        grow=options.by_phase("lambda_grow")[number],
        shrink=options.lambda_shrink,
        few=options.by_phase("lambda_few")[number],
        many=options.by_phase("lambda_many")[number],
        cap=options.lambda_cap,
        ratio=options.by_phase("lambda_ratios")[number],
    )
