"""One SGD for module weights and one for gates and thresholds, over what the present phase trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.supernet import Supernet, role, trainable


def learning_rates(options: MGASOptions) -> dict[str, float]:
    """Constant learning rate of every role."""
    threshold = options.threshold_lr * options.threshold_pace
    return {
        "weight": options.weight_lr,
        "alpha": options.alpha_lr,
        "kappa": options.kappa_lr,
        "t_operation": threshold,
        "t_filter": threshold,
        "t_input": threshold,
        "t_weight": options.weight_threshold_lr * options.threshold_pace,
    }


class Optimizers:
    """SGD with momentum and constant learning rates by role; removed and unexecuted parts are in no group.

    Momentum is known by parameter name, so that it survives narrowing, removal of operations and a restart. Parameters
    stand in the order of their names: the order in which modules came to the net (a regrown one comes last) must not
    decide the rounding of the gradient norm.

    Args:
        momentum: buffers to start from, by name; missing ones are zero.
        without: roles, for the parameters of cells only, that stand still.
    """

    def __init__(
        self,
        net: Supernet,
        options: MGASOptions,
        momentum: Mapping[str, Tensor] | None = None,
        without: Iterable[str] = (),
    ) -> None:
        skipped = set(without)
        self.names = {
            parameter: name
            for name, parameter in sorted(trainable(net).items())
            if not (name.startswith("cells.") and role(name) in skipped)
        }
        rates = learning_rates(options)
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
