"""What CIFAR-10 and CIFAR-100 share: pickled batches, and the md5 sums by which they are known."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EACH = 4, 2
"""Training and test images of every class."""


def write(
    root: Path, monkeypatch: pytest.MonkeyPatch, source: Any, classes: int, key: str, train: list[str], test: str
) -> None:
    """Of a class of torchvision's; the labels are called `key`, the lists of names as torchvision says."""
    folder, random = root / source.base_folder, np.random.default_rng(0)
    folder.mkdir(parents=True)

    def put(name: str, content: dict[str, Any]) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    def part(name: str, each: int) -> list[str]:
        labels = [label for label in range(classes) for _ in range(each)]
        return put(name, {"data": random.integers(0, 256, (len(labels), 3072), dtype=np.uint8), key: labels})

    monkeypatch.setattr(source, "train_list", [part(name, EACH[0] // len(train)) for name in train])
    monkeypatch.setattr(source, "test_list", [part(test, EACH[1])])
    names = put(source.meta["filename"], {source.meta["key"]: [f"class {label}" for label in range(classes)]})
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": names[1]})
