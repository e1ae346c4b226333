"""50,000 training and 10,000 test images of 32x32 pixels, 10 classes; downloaded when missing"""

from __future__ import annotations

from pathlib import Path

from bench.data.cifar import load_cifar
from bench.data.images import ImageData

STATISTICS = ((0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768))
"""Mean and standard deviation of the channels, as in DARTS (quark0/darts, cnn/utils.py)."""


def load(root: Path, download: bool, image_size: int | None, runs_dir: Path | None) -> ImageData:
    """See `bench.data.cifar.load_cifar`; there is one size of images."""
    from torchvision.datasets import CIFAR10  # here, because a second of start-up is a fifth of a short run

    return load_cifar("cifar10", CIFAR10, STATISTICS, root, download)
