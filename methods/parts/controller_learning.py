"""How a controller learns from rewards: REINFORCE against a moving average (Williams, 1992; Pham et al., ICML 2018).

    loss = -(accuracy + w H - b) log p        b <- b + (1 - decay) (accuracy + w H - b)

averaged over some draws, then one step of Adam. H is the entropy of the distributions that the draw met. As released
(melodyguan/enas; AutoDL-Projects): Adam without a first momentum, epsilon .001, gradients clipped at a norm of 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from methods.parts.samplers.controller import Controller, Draw

BETAS, EPSILON, CLIP = (0.0, 0.999), 1e-3, 5.0


class ControllerLearning:
    """Args:
    lr: Adam's.
    aggregate: draws between two steps.
    entropy_weight: w.
    decay: of the baseline b, which begins with the first reward.
    """

    def __init__(self, controller: Controller, lr: float, aggregate: int, entropy_weight: float, decay: float) -> None:
        self.controller, self.aggregate, self.entropy_weight, self.decay = controller, aggregate, entropy_weight, decay
        self.optimiser = torch.optim.Adam(controller.parameters(), lr, betas=BETAS, eps=EPSILON)
        self.baseline: Tensor | None = None
        self.draws = 0
        self.rewards: list[Tensor] = []
        self.entropies: list[Tensor] = []

    def learn(self, draw: Draw, accuracy: Tensor) -> None:
        """The reward of a draw; every `aggregate`-th one is followed by a step."""
        reward = accuracy + self.entropy_weight * draw.entropies.sum()
        baseline = reward if self.baseline is None else self.baseline
        self.baseline = baseline + (1 - self.decay) * (reward - baseline)
        (-draw.log_probability * (reward - baseline) / self.aggregate).backward()
        self.draws += 1
        self.rewards.append(reward)
        self.entropies.append(draw.entropies)
        if self.draws % self.aggregate == 0:
            torch.nn.utils.clip_grad_norm_(self.controller.parameters(), CLIP)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)

    def end_epoch(self) -> dict[str, Any]:
        """Means over the draws since the last call: rewards, and each decision's entropy in nats."""
        sizes = self.controller.sizes
        none = [torch.zeros(len(sizes))]
        entropies: list[float] = torch.stack(self.entropies or none).mean(0).tolist()
        reward = torch.stack(self.rewards or [torch.zeros(())]).mean().item()
        self.rewards, self.entropies = [], []
        return {
            "controller/reward": reward,
            "controller/baseline": 0.0 if self.baseline is None else self.baseline.item(),
            "arch/entropy": sum(entropies) / len(entropies),
            "arch/entropy_uniform": sum(map(math.log, sizes)) / len(sizes),
            "arch/entropies": entropies,
        }

    def state_dict(self) -> dict[str, Any]:
        """The gradients of draws that are not stepped by yet are part of it."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "gradients": [None if p.grad is None else p.grad.clone() for p in self.controller.parameters()],
            "baseline": self.baseline,
            "draws": self.draws,
            "rewards": list(self.rewards),
            "entropies": list(self.entropies),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        parameters = list(self.controller.parameters())
        device = parameters[0].device
        for parameter, gradient in zip(parameters, state["gradients"], strict=True):
            parameter.grad = None if gradient is None else gradient.to(device)
        self.baseline = None if state["baseline"] is None else state["baseline"].to(device)
        self.draws = state["draws"]
        self.rewards = [each.to(device) for each in state["rewards"]]
        self.entropies = [each.to(device) for each in state["entropies"]]
