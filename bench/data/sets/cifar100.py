"""50,000 training and 10,000 test images of 32x32 pixels, 100 classes; downloaded when missing"""

from __future__ import annotations

from pathlib import Path

from bench.data.cifar import load_cifar
from bench.data.images import ImageData

STATISTICS = ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
"""Mean and standard deviation of the channels, as commonly rounded to four digits."""


def load(root: Path, download: bool, image_size: int | None, runs_dir: Path | None) -> ImageData:
    """See `bench.data.cifar.load_cifar`; there is one size of images."""
    from torchvision.datasets import CIFAR100  # here, because a second of start-up is a fifth of a short run

    return load_cifar("cifar100", CIFAR100, STATISTICS, root, download)
