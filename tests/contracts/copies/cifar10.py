"""Of CIFAR-10: 40 training and 20 test images of noise."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.datasets import CIFAR10

from tests.contracts.copies import cifar


def write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar.write(root, monkeypatch, CIFAR10, 10, "labels", ["data_batch_1", "data_batch_2"], "test_batch")
