"""Weights of finished networks, as safetensors beside the record that made them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor, nn

from bench.records.atomic import write_durably
from bench.records.directory import RecordError

WEIGHTS_NAME = "weights.safetensors"


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """As safetensors, replaced whole.

    Raises:
        RecordError: the disk is full or the folder not writable.
    """
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    try:
        write_durably(path, save(tensors))
    except OSError as error:
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
