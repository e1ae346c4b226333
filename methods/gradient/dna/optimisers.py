"""DNA's optimisers, whose state outlives a move of the search space where there is the same to optimise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from methods.base import Average, gradients_of
from methods.gradient.dna.options import DNAOptions
from methods.parts.bilevel import set_gradients, start_momenta
from methods.spaces.window_network import WindowNetwork

AVERAGES = ("exp_avg", "exp_avg_sq")
"""Adam's."""
Rows = dict[str, Tensor]


class Optimisers:
    """SGD of the weights, Adam of the logits of windows and blocks."""

    def __init__(self, network: WindowNetwork, options: DNAOptions) -> None:
        self.network, self.options, o = network, options, options
        self.by_name = network.weights()
        self.weights, self.logits = list(self.by_name.values()), [network.alphas, network.betas]
        self.sgd = torch.optim.SGD(self.weights, o.lr, momentum=o.momentum, weight_decay=o.weight_decay, fused=True)
        start_momenta(self.sgd)
        self.adam = torch.optim.Adam(self.logits, o.arch_lr, betas=(o.arch_betas[0], o.arch_betas[1]))

    def set_lr(self, lr: float) -> None:
        """Of the weights."""
        self.sgd.param_groups[0]["lr"] = lr

    def update_weights(self, gradients: Sequence[Tensor | None], average: Average) -> None:
        """One step by the gradients of this process's share of a batch."""
        filled = [torch.zeros_like(w) if g is None else g for w, g in zip(self.weights, gradients, strict=True)]
        set_gradients(self.weights, filled)
        average(gradients_of(self.weights))
        torch.nn.utils.clip_grad_norm_(self.weights, self.options.clip)
        self.sgd.step()

    def update_logits(self, gradients: Sequence[Tensor | None], average: Average) -> None:
        """One step by the gradients of this process's share of a batch."""
        set_gradients(self.logits, gradients)
        average(gradients_of(self.logits))
        self.adam.step()

    def momenta(self) -> dict[str, Tensor]:
        """Of the weights, by their names in the network."""
        return {name: self.sgd.state[weight].get("momentum_buffer") for name, weight in self.by_name.items()}

    def averages(self) -> tuple[dict[str, Rows], dict[str, Rows], Tensor] | None:
        """Adam's of windows and of blocks by name, and its steps; None before the first."""
        net, state = self.network, self.adam.state
        if net.alphas not in state:
            return None
        blocks = state.get(net.betas)
        windows = {key: net.rows(state[net.alphas][key]) for key in AVERAGES}
        return windows, {key: net.gates(blocks[key]) for key in AVERAGES} if blocks else {}, state[net.alphas]["step"]

    def inherit(
        self,
        momenta: Mapping[str, Tensor],
        averages: tuple[dict[str, Rows], dict[str, Rows], Tensor] | None,
        windows: set[str],
        blocks: set[str],
    ) -> None:
        """Go on from those of the network before a move.

        Args:
            windows, blocks: those that are as they were; what is new has averages of zero.
        """
        for name, weight in self.by_name.items():
            self.sgd.state[weight]["momentum_buffer"].copy_(momenta[name])
        if averages is None:
            return
        net, step = self.network, averages[2]
        for parameter, view, of, same in (
            (net.alphas, net.rows, averages[0], windows),
            (net.betas, net.gates, averages[1], blocks),
        ):
            state = {key: torch.zeros_like(parameter) for key in AVERAGES}
            for key, rows in of.items():
                for name, row in view(state[key]).items():
                    if name in rows and name in same:
                        row.copy_(rows[name])
            self.adam.state[parameter] = state | {"step": step.clone()}

    def state_dict(self) -> dict[str, Any]:
        return {"weight_optimiser": self.sgd.state_dict(), "arch_optimiser": self.adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.sgd.load_state_dict(state["weight_optimiser"])
        self.adam.load_state_dict(state["arch_optimiser"])
