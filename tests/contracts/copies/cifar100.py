"""Of CIFAR-100: 400 training and 200 test images of noise."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.datasets import CIFAR100

from tests.contracts.copies import cifar


def write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar.write(root, monkeypatch, CIFAR100, 100, "fine_labels", ["train"], "test")
