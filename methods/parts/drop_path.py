"""Drop path, also called stochastic depth: in training, a part of the network is left out for some of the samples."""

from __future__ import annotations

import torch
from torch import Tensor


def drop_path(x: Tensor, probability: Tensor) -> Tensor:
    """Zero whole samples with the given probability and rescale the rest (Larsson et al., ICLR 2017; DARTS code).

    One division a sample, by the share that is kept or by infinity: forward and backward the bits of a division by the
    share and a product with a mask, and half of the passes over the activations.

    Args:
        x: (samples, channels, height, width).
        probability: a tensor of no dimensions, in [0, 1).
    """
    keep = 1.0 - probability
    kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) < keep
    return x / torch.where(kept, keep.to(x.dtype), torch.inf)
