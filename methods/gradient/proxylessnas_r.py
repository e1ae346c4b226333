"""ProxylessNAS by REINFORCE (Cai et al., ICLR 2019, section 3.3.2, and mit-han-lab/proxylessnas): a policy of one
softmax for every decision, rewarded by the accuracy of the paths that it draws.

    dL/d alpha = -1/M sum_m (r_m - b) d log p_m / d alpha

over M paths on one held-out batch, b being an average that moves by `baseline_rate` of the way to the present mean. In
the release that rate is .99 under the name of a decay weight: the baseline is all but the mean of the same M rewards.
Released are 300 such steps an epoch, some every sixteenth one of ImageNet's; here they are as frequent as those of
`proxylessnas`. Latency has no part in the reward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from methods.base import Batch, SearchContext
from methods.domain import within
from methods.gradient.path_search import Path, Sums, averaged
from methods.gradient.proxyless_schedule import Proxyless, ProxylessOptions
from methods.parts.bilevel import frozen_statistics, loss_and_sums
from methods.registry import register


@dataclass(frozen=True)
class ProxylessNASROptions(ProxylessOptions):
    """Attributes:
    draws: M.
    baseline_rate: of the baseline; 1 for the present mean itself.
    """

    draws: int = field(default=10, metadata=within("[1, 10000]"))
    baseline_rate: float = field(default=0.99, metadata=within("(0, 1]"))


@register(
    "proxylessnas_r",
    special="as proxylessnas, with a policy that learns by REINFORCE from the accuracy of what it draws",
    paper="Cai, Zhu and Han, ICLR 2019, arXiv 1812.00332",
    space="darts_cell, nasbench201, chain_s, chain_xs, chain_imagenet",
    watched="methods.gradient.watched:REWARDED_GATES",
)
class ProxylessNASR(Proxyless):
    """Multinomial draws, single paths, REINFORCE; see `ProxylessNASROptions`."""

    Options = ProxylessNASROptions
    options: ProxylessNASROptions
    takes_cost = False

    def __init__(self, options: ProxylessNASROptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.baseline: Tensor | None = None

    def _architecture_step(self, batch: Batch) -> Sums:
        with torch.no_grad(), frozen_statistics(self.supernet):
            paths = [path for _ in range(self.options.draws) for path in self.draw()]
            found = [loss_and_sums(self.network(path), batch, "valid_")[1] for path in paths]
        rewards = torch.stack([each["valid_correct"] / each["valid_count"] for each in found])
        self.average([rewards])
        mean = rewards.mean()
        baseline = mean if self.baseline is None else self.baseline
        self.baseline = baseline + self.options.baseline_rate * (mean - baseline)
        log_probabilities = torch.stack([self.log_probability(path) for path in paths])
        loss = -((rewards - self.baseline) * log_probabilities).mean()
        self.learn(paths, torch.autograd.grad(loss, self.alphas))
        return averaged(found)

    def log_probability(self, path: Path) -> Tensor:
        """0-d, of all decisions of a path together; with a gradient."""
        found = []
        for kind, gates in path.items():
            logits = self.parameterisation.logits(kind).options.log_softmax(dim=-1)
            chosen = torch.tensor(gates.chosen, device=logits.device)
            found.append(logits.gather(-1, chosen[:, None]).sum())
        return torch.stack(found).sum()

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Adds the baseline."""
        baseline = 0.0 if self.baseline is None else self.baseline.item()
        return {**super().on_epoch_end(epoch, evaluate), "paths/baseline": baseline}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"baseline": self.baseline}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        baseline = state["baseline"]
        self.baseline = None if baseline is None else baseline.to(self.weights[0].device)
