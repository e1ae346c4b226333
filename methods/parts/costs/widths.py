"""MACs where widths and resolutions are chosen, too: effective shapes (Wan et al., CVPR 2020, FBNetV2, section 3.3).

A layer's MACs are a product of what comes in, what goes out, and the pixels; each may be a choice among numbers. Where
these are different choices, drawn independently, the expectation of the product is the product of expectations, so that
effective shapes (`sum_i p_i c_i`) give the expected MACs exactly. Where one choice decides two factors, as the width of
a residual stage decides what goes into its layers and what comes out, E[c c] > E[c] E[c]: there the product is taken
option by option and then expected, a table of the options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor


@dataclass(frozen=True)
class Factor:
    """One factor of a product.

    Attributes:
        choice: the name of what decides it; None where nothing does.
        values: by option; one value where nothing decides it.
    """

    values: tuple[float, ...]
    choice: str | None = None


@dataclass(frozen=True)
class Product:
    """A layer's MACs: `weight` times its factors (in a convolution kernel^2, channels in and out, height and width)."""

    factors: tuple[Factor, ...]
    weight: float = 1.0

    def discrete(self, options: Mapping[str, int]) -> float:
        """With the option of each choice."""
        return self.weight * prod(
            each.values[0] if each.choice is None else each.values[options[each.choice]] for each in self.factors
        )

    def expected(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """0-d, over independent choices with these probabilities, each (options,); exact, with a gradient."""
        total = torch.as_tensor(self.weight * prod(each.values[0] for each in self.factors if each.choice is None))
        for choice in dict.fromkeys(each.choice for each in self.factors if each.choice is not None):
            tied = [each.values for each in self.factors if each.choice == choice]
            by_option = [prod(values) for values in zip(*tied, strict=True)]
            p = probabilities[choice]
            total = total * (p * torch.tensor(by_option, dtype=p.dtype, device=p.device)).sum()
        return total


def expected_macs(layers: Sequence[Product], probabilities: Mapping[str, Tensor]) -> Tensor:
    """Of all layers together."""
    return torch.stack([layer.expected(probabilities) for layer in layers]).sum()


def counted(layers: Sequence[Product], options: Mapping[str, Tensor]) -> Tensor:
    """(n,), int64: what `Product.discrete` adds up to, of many networks at once, each choice's options (n,)."""
    tables: dict[tuple[str, tuple[float, ...]], Tensor] = {}

    def of(factor: Factor, choice: str) -> Tensor:
        if (choice, factor.values) not in tables:
            tables[choice, factor.values] = torch.tensor(factor.values).long()[options[choice]]
        return tables[choice, factor.values]

    total = torch.zeros_like(next(iter(options.values())))
    for layer in layers:
        chosen = torch.full_like(total, int(layer.weight))
        for each in layer.factors:
            chosen = chosen * (int(each.values[0]) if each.choice is None else of(each, each.choice))
        total = total + chosen
    return total


@dataclass
class Layers:
    """The MACs and the parameters of networks whose widths are chosen, written down layer by layer."""

    macs: list[Product] = field(default_factory=list)
    params: list[Product] = field(default_factory=list)

    def convolution(self, weight: float, pixels: Factor, *channels: Factor) -> None:
        """Args:
        weight: kernel^2 and whatever channels are not chosen.
        pixels: of its output.
        channels: in and out; of a depthwise one its own.
        """
        self.macs.append(Product((*channels, pixels), weight))
        self.params.append(Product(channels, weight))

    def norm(self, weight: float, *channels: Factor) -> None:
        """Scale and shift of `weight` times so many channels."""
        self.params.append(Product(channels, 2 * weight))

    def linear(self, inputs: float, outputs: int, *channels: Factor) -> None:
        """With biases; `inputs` times the channels enter."""
        self.macs.append(Product(channels, inputs * outputs))
        self.params += [Product(channels, inputs * outputs), Product((), outputs)]
