"""Drop path, also called stochastic depth: in training, a part of the network is left out for some of the samples."""

from __future__ import annotations

import torch
from torch import Tensor


def drop_path(x: Tensor, probability: Tensor) -> Tensor:
    """Zero whole samples with the given probability and rescale the rest (Larsson et al., ICLR 2017; DARTS code)."""
    keep = 1.0 - probability
    mask = (torch.rand(x.shape[0], 1, 1, 1, device=x.device) < keep).to(x.dtype)
    return x / keep.to(x.dtype) * mask
