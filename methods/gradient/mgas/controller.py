"""The adaptive strength of the regularisers: lambda follows how many operations a commit removed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LambdaState:
    """lambda and the step by which it grows next; both start anew in every phase."""

    value: float = 0.0
    delta: float = 1e-5


@dataclass(frozen=True)
class LambdaRule:
    """Constants of the controller, with the released values.

    Attributes:
        delta: first step, and the step after a fall.
        grow: factor on the step when few operations were removed (c0^2 in the released code).
        shrink: divisor of lambda when many were (c0).
        few, many: removals of one commit below which lambda grows and from which it falls.
        cap: largest lambda.
        ratio: lambda does not grow while cross entropy is below `ratio` times the weighted cost: 1 in stages, .5 in
            the final phase.
    """

    delta: float = 1e-5
    grow: float = 4.0
    shrink: float = 2.0
    few: int = 24
    many: int = 48
    cap: float = 100.0
    ratio: float = 1.0


def next_lambda(
    state: LambdaState, removed: int, cross_entropy: float, weighted_cost: float, rule: LambdaRule
) -> LambdaState:
    """lambda after a commit.

    Args:
        removed: operations this commit removed.
        cross_entropy, weighted_cost: epoch means of the task loss and of lambda * l_cost (without l_thre).
    """
    cap = state.value if cross_entropy < rule.ratio * weighted_cost else rule.cap
    value, delta = state.value, state.delta
    if removed >= rule.many:
        delta = rule.delta
        value = value / rule.shrink
    elif removed < rule.few:
        if value != cap:
            delta = rule.grow * delta
        value = value + delta
    return LambdaState(min(value, cap), delta)
