"""One SGD for module weights and one for gates and thresholds, over what the present phase trains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.supernet import Supernet, role, trainable
from methods.parts.pace import factor, steps_of

RELEASED_BATCH = 96


def pace_of(options: MGASOptions, steps: int) -> float:
    """What an epoch of so many steps multiplies learning rates of gates and thresholds by, and lambda as well.

    The noise of batches moves them by `lr * sqrt(steps)` an epoch, the regularisers by `lr * lambda * steps`. With f
    times fewer steps than the released code's 521 (50,000 images in batches of 96), sqrt(f) for both keeps both. f for
    learning rates alone would keep the second, and make the first sqrt(f) times as large: thresholds are then thrown
    about by single batches.
    """
    return math.sqrt(factor(options.arch_pace, steps_of(1.0, RELEASED_BATCH), steps))


def learning_rates(options: MGASOptions, pace: float = 1.0) -> dict[str, float]:
    """Constant learning rate of every role."""
    threshold = options.threshold_lr * options.threshold_pace * pace
    return {
        "weight": options.weight_lr,
        "alpha": options.alpha_lr * pace,
        "kappa": options.kappa_lr * pace,
        "t_operation": threshold,
        "t_filter": threshold,
        "t_input": threshold,
        "t_weight": options.weight_threshold_lr * options.threshold_pace * pace,
    }


class Optimizers:
    """SGD with momentum and constant learning rates by role; removed and unexecuted parts are in no group.

    Momentum is known by parameter name, so that it survives narrowing, removal of operations and a restart. Parameters
    stand in the order of their names: the order in which modules came to the net (a regrown one comes last) must not
    decide the rounding of the gradient norm.

    Args:
        momentum: buffers to start from, by name; missing ones are zero.
        without: roles, for the parameters of cells only, that stand still.
        pace: see `pace_of`.
    """

    def __init__(
        self,
        net: Supernet,
        options: MGASOptions,
        momentum: Mapping[str, Tensor] | None = None,
        without: Iterable[str] = (),
        pace: float = 1.0,
    ) -> None:
        skipped = set(without)
        self.names = {
            parameter: name
            for name, parameter in sorted(trainable(net).items())
            if not (name.startswith("cells.") and role(name) in skipped)
        }
        rates = learning_rates(options, pace)
        groups = [
            {"params": members, "lr": rate, "weight_decay": options.weight_decay if kind == "weight" else 0.0}
            for kind, rate in rates.items()
            if (members := [parameter for parameter, name in self.names.items() if role(name) == kind])
        ]
        self.weights = torch.optim.SGD(groups[:1], lr=rates["weight"], momentum=options.momentum)
        self.architecture = torch.optim.SGD(groups[1:], lr=rates["alpha"], momentum=options.momentum)
        self.everything = list(net.parameters())
        for parameter, name in self.names.items():
            buffer = (momentum or {}).get(name)
            buffer = torch.zeros_like(parameter) if buffer is None else buffer.detach().to(parameter.device).clone()
            self._sgd(name).state[parameter]["momentum_buffer"] = buffer

    def _sgd(self, name: str) -> torch.optim.SGD:
        return self.weights if role(name) == "weight" else self.architecture

    @property
    def module_weights(self) -> list[nn.Parameter]:
        """What gradient clipping looks at."""
        return list(self.weights.param_groups[0]["params"])

    def momentum(self) -> dict[str, Tensor]:
        """Momentum buffers by parameter name (not copied)."""
        return {name: self._sgd(name).state[parameter]["momentum_buffer"] for parameter, name in self.names.items()}

    def zero_grad(self) -> None:
        for parameter in self.everything:
            parameter.grad = None

    def step(self, weights_only: bool) -> None:
        self.weights.step()
        if not weights_only:
            self.architecture.step()
