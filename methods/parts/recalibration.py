"""Statistics of batch normalisations, measured anew: what a network with shared weights needs before it is evaluated.

Running statistics of shared weights belong to all networks that were trained with them (Yu and Huang, ICCV 2019,
section 3.3; Bender et al., ICML 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def recalibrate(network: nn.Module, run: Callable[[Tensor], object], batches: Iterable[Tensor]) -> None:
    """Give the normalisations that `run` uses the statistics of these batches of images, each weighing the same.

    Weights and the mode stay as they are. Of an elastic network only the prefixes are measured that `run` uses.

    Args:
        run: sends images through the network.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta, training = [norm.momentum for norm in norms], network.training
    network.train()
    try:
        for number, images in enumerate(batches, 1):
            for norm in norms:
                norm.momentum = 1 / number
            run(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(training)
