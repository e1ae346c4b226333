"""Seeds from named axes, and the state of every random generator a run uses."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import numpy as np
import torch

from methods.architecture import canonical_json


def derive(**axes: Any) -> int:
    """A 63-bit seed that depends on every axis and its value, e.g. `derive(dataset="cifar10", use="order", seed=0)`.

    Axes that are left out are shared: two methods retrained with one retrain seed see the same data order.
    """
    digest = hashlib.sha256(canonical_json(axes).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed torch (all devices) and numpy's global generator (timm's Mixup draws from it)."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)


def random_state() -> dict[str, Any]:
    """The state of all global generators, as tensors and numbers."""
    name, keys, position, has_gauss, cached = cast(tuple[str, Any, int, int, float], np.random.get_state(legacy=True))
    numpy_state = [name, torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)]
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "numpy": numpy_state, "cuda": cuda}


def restore_random_state(state: dict[str, Any]) -> None:
    """Inverse of `random_state`; GPU states are restored for the devices present."""
    torch.set_rng_state(state["torch"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    if torch.cuda.is_available():
        for device, value in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(value, device)
