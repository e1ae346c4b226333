"""K exclusive paths: the options of a decision are drawn without replacement, one for each path.

Gumbel top-K: the noise is drawn once, and path k takes the option with the k-th largest sum, which draws by
Plackett-Luce (`methods.parts.samplers.noise`). The gradient of each draw is the hard Gumbel-softmax's over the options
that were left. With one path it is `HardGumbel`.

What that means for architecture parameters: the draws of a decision are not K draws from its probabilities. The mean of
their gradients is no estimate of that of one draw, and none is made of it: with as many paths as options every option
counts once, whatever its probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from methods.parts.gates import Gates, Logits, straight_through
from methods.parts.samplers.noise import perturbed


@dataclass
class Exclusive:
    """Attributes:
    generator: on the host.
    paths: K. A decision with fewer options begins its order again.
    temperature: tau, above 0; a schedule sets it.
    """

    generator: torch.Generator
    paths: int
    temperature: float = 1.0

    def __call__(self, logits: Logits) -> list[Gates]:
        """The gates of each path."""
        scores = perturbed(logits, self.generator)
        missing = logits.options.isneginf()
        taken, gates, order = missing, [], []
        for _ in range(self.paths):
            taken = torch.where(taken.all(dim=-1, keepdim=True), missing, taken)
            left = scores.masked_fill(taken, -torch.inf)
            index = left.argmax(dim=-1)
            gates.append(straight_through((left / self.temperature).softmax(dim=-1), index))
            order.append(index)
            taken = taken.scatter(-1, index[:, None], True)
        chosen = torch.stack(order).tolist()
        return [Gates(each, logits.weights, tuple(path)) for each, path in zip(gates, chosen, strict=True)]
