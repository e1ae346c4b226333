"""Searches by single paths, small enough for a test, and what they are given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from methods.base import SearchContext

CONTEXT = SearchContext(num_classes=10, image_size=8, seed=3)
SMALL: dict[str, Any] = {"channels": 4, "cells": 3, "batch_size": 4, "epochs": 4}


def begun(cls: Any, epoch: int = 0, **options: Any) -> Any:
    """A new search of that class at the beginning of an epoch; always of the same weights."""
    torch.manual_seed(1)
    method = cls(cls.Options(**{**SMALL, **options}), CONTEXT)
    method.to(torch.device("cpu"))
    method.on_epoch_start(epoch)
    method.supernet.train()
    return method


def batch(seed: int = 0, size: int = 4) -> tuple[Tensor, Tensor]:
    """Images of 8 pixels and their labels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 3, 8, 8, generator=generator), torch.randint(10, (size,), generator=generator)
