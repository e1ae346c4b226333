"""Parameters and multiply-adds (MACs) of a network, counted one way everywhere.

A MAC is one multiplication with its addition, in a convolution or a linear layer; normalisations, pools and
activations are not counted. Every weight of such a layer takes part in one MAC per position of its output, so that
a layer's MACs are `positions * weights`, and with a weight mask `positions * weights kept`. Only layers that are
`nn.Conv2d` or `nn.Linear` modules are seen; a functional convolution inside a `forward` is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

AUXILIARY_HEAD = "auxiliary_head"
"""Name of the training-only classifier in networks that have one; not part of an inference count."""

ImageShape = tuple[int, int, int]
"""Channels, height, width."""


@dataclass(frozen=True)
class NetworkCounts:
    """Of one network, in closed form: parameters without and with the auxiliary head, MACs of one image."""

    params: int
    params_training: int
    macs: int


@dataclass(frozen=True)
class Convolution:
    """`weights` of one convolution, each taking part in one MAC at every position of a (height, width) output."""

    weights: int
    height: int
    width: int

    @property
    def macs(self) -> int:
        return self.weights * self.height * self.width


def total_counts(convolutions: Sequence[Convolution], norms: int, linear: Sequence[tuple[int, int]]) -> NetworkCounts:
    """Of a network without auxiliary head.

    Args:
        norms: channels of all batch normalisations, each with a scale and a shift.
        linear: inputs and outputs of the linear layers, which have biases.
    """
    params = sum(layer.weights for layer in convolutions) + 2 * norms + sum((c_in + 1) * out for c_in, out in linear)
    macs = sum(layer.macs for layer in convolutions) + sum(c_in * out for c_in, out in linear)
    return NetworkCounts(params, params, macs)


def _parameters(network: nn.Module, auxiliary: bool) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in network.named_parameters():
        if auxiliary or not name.startswith(AUXILIARY_HEAD + "."):
            yield name, parameter


def count_params(network: nn.Module, auxiliary: bool = False) -> int:
    """Number of parameters; `auxiliary` includes the auxiliary head."""
    return sum(parameter.numel() for _, parameter in _parameters(network, auxiliary))


def count_nonzero(network: nn.Module, masks: Mapping[str, Tensor], auxiliary: bool = False) -> int:
    """Number of parameters that the masks keep; a parameter without a mask counts in full."""
    parameters = dict(_parameters(network, auxiliary))
    removed = sum(mask.numel() - int(mask.sum()) for name, mask in masks.items() if name in parameters)
    return sum(parameter.numel() for parameter in parameters.values()) - removed


def weight_positions(network: nn.Module, image_shape: ImageShape) -> dict[str, int]:
    """MACs per weight for one image, by the name of each convolution and linear layer that the image reaches.

    One forward pass in evaluation mode, on the network's device (the meta device will do); the mode is restored.
    A layer used several times has the sum of its positions.
    """
    positions: dict[str, int] = {}

    def hook(name: str, module: nn.Module, output: Tensor) -> None:
        channels = module.out_channels if isinstance(module, nn.Conv2d) else output.shape[-1]
        positions[name] = positions.get(name, 0) + output.numel() // int(channels)

    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [
        module.register_forward_hook(lambda module, _, output, name=name: hook(name, module, output))
        for name, module in layers
    ]
    modes = {module: module.training for module in network.modules()}
    first = next(network.parameters())
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *image_shape, device=first.device, dtype=first.dtype))
    finally:
        for handle in hooks:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return positions


def module_macs(
    network: nn.Module, image_shape: ImageShape, masks: Mapping[str, Tensor] | None = None
) -> dict[str, int]:
    """MACs of each convolution and linear layer for one image; with `masks` only those of kept weights."""
    layers, masks = dict(network.named_modules()), masks or {}
    result = {}
    for name, positions in weight_positions(network, image_shape).items():
        weight, mask = layers[name].weight, masks.get(f"{name}.weight")
        result[name] = positions * (int(weight.numel()) if mask is None else int(mask.sum()))
    return result


def count_macs(network: nn.Module, image_shape: ImageShape, masks: Mapping[str, Tensor] | None = None) -> int:
    """Total of `module_macs`: dense without masks, sparse with them."""
    return sum(module_macs(network, image_shape, masks).values())
