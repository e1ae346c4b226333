"""The LSTM controller: a policy that chooses an option for one decision after the other, having seen those before.

Pham et al., ICML 2018 (ENAS), section 2 and released code (melodyguan/enas); for decisions that all have the same
options, as in NAS-Bench-201, that of AutoDL-Projects (search_model_enas_utils.py): two layers of 32 units, logits
bounded by `bound * tanh(logits / temperature)`, weights uniform in [-.1, .1] (there, the second layer's are torch's
default). Decisions with the same options share
their embedding and their output. ENAS' own controller chooses predecessors by attention over the nodes before; here
what a decision is about is not known, and its options have an output each.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.parts.samplers.noise import gumbel

START = 0.1
"""Largest weight at the start."""


@dataclass(frozen=True)
class Draw:
    """Attributes:
    code: the option of each decision.
    log_probability: 0-d, of all of them together; with a gradient.
    entropies: (decisions,), of the distribution that each option was drawn from, in nats; without a gradient.
    """

    code: tuple[int, ...]
    log_probability: Tensor
    entropies: Tensor


class Controller(nn.Module):
    """Args:
    sizes: number of options of each decision, in the order in which they are chosen.
    groups: what each decision is like; those of a group have the same options.
    generator: on the host.
    units, layers: of the LSTM.
    temperature, bound: of the logits.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        groups: Sequence[Hashable],
        generator: torch.Generator,
        units: int = 32,
        layers: int = 2,
        temperature: float = 5.0,
        bound: float = 2.5,
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.generator, self.temperature, self.bound = generator, temperature, bound
        known = list(dict.fromkeys(groups))
        self.group = [known.index(group) for group in groups]
        counts = [
            next(size for size, group in zip(sizes, self.group, strict=True) if group == n) for n in set(self.group)
        ]
        self.start = nn.Parameter(torch.empty(1, units).uniform_(-START, START))
        self.cells = nn.ModuleList(nn.LSTMCell(units, units) for _ in range(layers))
        self.embeddings = nn.ModuleList(nn.Embedding(count, units) for count in counts)
        self.outputs = nn.ModuleList(nn.Linear(units, count) for count in counts)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1 and name != "start":
                nn.init.uniform_(parameter, -START, START)

    def forward(self) -> Draw:
        """One draw of all decisions."""
        x: Tensor = self.start
        states: list[tuple[Tensor, Tensor] | None] = [None] * len(self.cells)
        index, taken, entropies = [], [], []
        for group in self.group:
            x = self._step(x, states)
            logits = self.bound * torch.tanh(self.outputs[group](x) / self.temperature)
            log_p = logits.log_softmax(dim=-1)
            drawn = (log_p.detach() + gumbel(log_p, self.generator)).argmax(dim=-1)
            index.append(drawn)
            taken.append(log_p.gather(-1, drawn[:, None]).sum())
            entropies.append(-(log_p.exp() * log_p).sum().detach())
            x = self.embeddings[group](drawn)
        code = tuple(torch.cat(index).tolist())
        return Draw(code, torch.stack(taken).sum(), torch.stack(entropies))

    def _step(self, x: Tensor, states: list[tuple[Tensor, Tensor] | None]) -> Tensor:
        for layer, cell in enumerate(self.cells):
            x, memory = cell(x, states[layer])
            states[layer] = x, memory
        return x
