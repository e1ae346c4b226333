"""REINFORCE on independent categoricals: a policy of one softmax for every decision, and a moving baseline.

Williams, Machine Learning 8 (1992), as NAS-Bench-201 has it (Dong and Yang, ICLR 2020; AutoDL-Projects,
exps/NATS-algos/reinforce.py). Taken from there: logits of 0.001 times a normal draw; one proposal an update; the
reward is the validation accuracy in percent; the baseline is an exponential moving average, its start corrected, which
has seen the reward before the reward is compared with it; Adam at its defaults; the answer is the best proposal (the
released code's first version answered with the policy's mode).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from methods.base import MethodError, SearchContext
from methods.domain import within
from methods.registry import register
from methods.sampling.code_search import CodeSearch, CodeSearchOptions, decision_space
from methods.spaces.decisions import Code

START = 1e-3
"""Standard deviation of the first logits."""
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's (Kingma and Ba, ICLR 2015, algorithm 1)."""
MOST_OPTIONS = 100_000
"""Of one decision: each has a logit, and the policy is computed anew after every score."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class ReinforceOptions(CodeSearchOptions):
    """The defaults are those of the released scripts (exps/NATS-algos/run-all.sh).

    Attributes:
        lr: Adam's learning rate.
        baseline_momentum: of the moving average of rewards.
    """

    lr: float = field(default=0.01, metadata=within("(0, inf)"))
    baseline_momentum: float = field(default=0.9, metadata=within("[0, 1)"))

    def __post_init__(self) -> None:
        super().__post_init__()
        for decision in decision_space(self.space).decisions():
            if len(decision.options) > MOST_OPTIONS:
                raise MethodError(
                    f"space is '{self.space}': its decision '{decision.name}' has {len(decision.options)} options, and "
                    f"reinforce keeps a probability for each; it takes spaces of at most {MOST_OPTIONS} a decision"
                )


@register(
    "reinforce",
    special="policy gradient on one softmax a decision, against a moving average of rewards",
    paper="Williams, Machine Learning 1992; as in Dong and Yang, ICLR 2020, arXiv 2001.00326",
    space="any",
)
class Reinforce(CodeSearch):
    """Of several proposals asked at once, each is told to the policy as it is by then.

    Attributes:
        logits: float64, (decisions, most options of a decision); minus infinity where a decision has fewer options.
        policy: their softmax, the probability of every option of every decision.
    """

    Options = ReinforceOptions
    anytime = True

    def __init__(self, options: ReinforceOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.options = options
        counts = np.array([len(decision.options) for decision in self.space.decisions()])
        shape = (len(counts), int(counts.max()))
        start = START * torch.randn(shape, generator=self.generator, dtype=torch.float64).numpy()
        self.logits: Array = np.where(np.arange(shape[1]) < counts[:, None], start, -np.inf)
        self.policy, self.places = softmax(self.logits), np.arange(len(counts))
        self.first, self.second, self.steps = np.zeros(shape), np.zeros(shape), 0
        self.numerator = self.denominator = 0.0

    def propose(self) -> Code:
        """Drawn from the policy, by inverting each decision's cumulative distribution."""
        draws = torch.rand(len(self.logits), generator=self.generator, dtype=torch.float64).numpy()
        cumulative = self.policy.cumsum(1)
        return tuple((cumulative <= draws[:, None] * cumulative[:, -1:]).sum(1).tolist())

    def learn(self, code: Code, score: float) -> None:
        momentum = self.options.baseline_momentum
        self.numerator = momentum * self.numerator + (1 - momentum) * score
        self.denominator = momentum * self.denominator + (1 - momentum)
        self.descend(self.gradient(code, score - self.numerator / self.denominator))

    def gradient(self, code: Code, advantage: float) -> Array:
        """Of `-advantage * log p(code)` with respect to the logits: `advantage * (p - one-hot(code))`."""
        gradient = self.policy.copy()
        gradient[self.places, code] -= 1
        return advantage * gradient

    def descend(self, gradient: Array) -> None:
        """One step of Adam."""
        self.steps += 1
        self.first = BETA_1 * self.first + (1 - BETA_1) * gradient
        self.second = BETA_2 * self.second + (1 - BETA_2) * gradient**2
        first, second = self.first / (1 - BETA_1**self.steps), self.second / (1 - BETA_2**self.steps)
        self.logits = self.logits - self.options.lr * first / (np.sqrt(second) + EPSILON)
        self.policy = softmax(self.logits)


def softmax(logits: Array) -> Array:
    """Along the last dimension."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    normalised: Array = raised / raised.sum(-1, keepdims=True)
    return normalised
