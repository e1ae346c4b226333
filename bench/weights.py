"""Weights of finished networks, as safetensors beside the record that made them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.records import RecordError

WEIGHTS_NAME = "weights.safetensors"


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Atomically, as safetensors."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    try:
        save_file(tensors, temporary)
        temporary.replace(path)
    except Exception as error:
        temporary.unlink(missing_ok=True)
        raise RecordError(f"cannot write {path}: {error}; free space and run the same command again") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Load inference weights; the auxiliary head, if there is one, keeps its own.

    Raises:
        RecordError: they are missing or of another network.
    """
    try:
        weights = load_file(path)
    except Exception as error:
        raise RecordError(f"cannot read weights {path}: {error}; remove its run directory to make them again") from None
    weights = {name: value for name, value in weights.items() if not name.startswith("auxiliary_head.")}
    missing, unexpected = network.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.startswith("auxiliary_head.")]
    if missing or unexpected:
        raise RecordError(f"weights {path} are of another network: missing {missing[:3]}, unexpected {unexpected[:3]}")
