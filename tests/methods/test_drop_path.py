"""Drop path by one division has the bits of the published two steps: divide by the share that is kept, mask."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from methods.parts.drop_path import drop_path

SAMPLES = 64


def by_the_book(x: Tensor, probability: Tensor) -> Tensor:
    keep = 1.0 - probability
    mask = (torch.rand(x.shape[0], 1, 1, 1) < keep).to(x.dtype)
    return x / keep.to(x.dtype) * mask


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_values_and_gradients_have_the_bits_of_the_book(probability: float, dtype: torch.dtype) -> None:
    x, upstream = (torch.randn(SAMPLES, 3, 4, 4).to(dtype) for _ in range(2))
    found = []
    for function in (drop_path, by_the_book):
        torch.manual_seed(0)
        leaf = x.clone().requires_grad_()
        dropped = function(leaf, torch.tensor(probability))
        dropped.backward(upstream)
        found.append((dropped.detach(), leaf.grad))
    for ours, theirs in zip(*found, strict=True):
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours, theirs)
        assert torch.equal(ours.signbit(), theirs.signbit())
    left_out = (found[0][0].flatten(1) == 0).all(1).sum()
    assert (0 < left_out < SAMPLES) == (probability > 0)
