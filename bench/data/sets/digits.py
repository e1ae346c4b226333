"""1,797 grey images of 8x8 pixels, 10 classes; ships inside scikit-learn, every fifth is a test image"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch

from bench.data.images import DataError, DatasetInfo, ImageData, LabelledImages


def load(root: Path, download: bool, image_size: int | None, runs_dir: Path | None) -> ImageData:
    """Handwritten digits; in every class each fifth image is a test image. Nothing is read below `root`."""
    # The file, not `sklearn.datasets.load_digits`: importing scikit-learn takes longer than a short run's epoch.
    path = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")))
    try:
        table = np.loadtxt(path, delimiter=",")
    except OSError as error:
        raise DataError(f"data set 'digits': {path} cannot be read: {error}; install scikit-learn again") from error
    images = torch.from_numpy(np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8)).view(-1, 1, 8, 8)
    labels = torch.from_numpy(table[:, -1]).long()
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(10):
        is_test[(labels == label).nonzero().flatten()[4::5]] = True
    train = LabelledImages(images[~is_test].contiguous(), labels[~is_test])
    test = LabelledImages(images[is_test].contiguous(), labels[is_test])
    pixels = train.images[:].double() / 255  # type: ignore[union-attr]
    info = DatasetInfo(
        "digits",
        mean=(float(pixels.mean()),),
        std=(float(pixels.std(correction=0)),),
        classes=tuple(str(digit) for digit in range(10)),
        image_size=8,
        padding=1,
        cutout=4,
        flip=False,
    )
    return ImageData(info, train, lambda: test)
