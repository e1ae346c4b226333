"""14 photographs that ship inside scikit-image and scikit-learn, for super-resolution: 12 to train on, 2 to test on"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import torch

from bench.data.decoding import Decoding, ImageFileError
from bench.data.images import DataError, ImageData, LabelledImages
from bench.data.photograph_folders import described
from bench.data.photographs import HeldPicture, Photographs, decoded

TASK = "super_resolution"
OF_SCIKIT_IMAGE, OF_SCIKIT_LEARN = ("scikit-image", "skimage/data"), ("scikit-learn", "sklearn/datasets/images")
TRAIN = {
    "astronaut.png": OF_SCIKIT_IMAGE,
    "coffee.png": OF_SCIKIT_IMAGE,
    "rocket.jpg": OF_SCIKIT_IMAGE,
    "motorcycle_left.png": OF_SCIKIT_IMAGE,
    "hubble_deep_field.jpg": OF_SCIKIT_IMAGE,
    "camera.png": OF_SCIKIT_IMAGE,
    "brick.png": OF_SCIKIT_IMAGE,
    "grass.png": OF_SCIKIT_IMAGE,
    "gravel.png": OF_SCIKIT_IMAGE,
    "moon.png": OF_SCIKIT_IMAGE,
    "flower.jpg": OF_SCIKIT_LEARN,
    "coins.png": OF_SCIKIT_IMAGE,
}
"""In the order of the set; a search that divides by files validates on the last ones. Grey ones have three channels."""
TEST = {"chelsea.png": OF_SCIKIT_IMAGE, "china.jpg": OF_SCIKIT_LEARN}


def load(root: Path, download: bool, image_size: int | None, runs_dir: Path | None) -> ImageData:
    """Nothing is read below `root`."""
    return ImageData(described("photographs", 3), _read(TRAIN), lambda: _read(TEST))


def _read(files: dict[str, tuple[str, str]]) -> LabelledImages:
    pictures = []
    for name, (package, folder) in files.items():
        path = str(distribution(package).locate_file(f"{folder}/{name}"))
        try:
            pictures.append(HeldPicture(name, decoded(path, Decoding())))
        except ImageFileError as error:
            raise DataError(f"data set 'photographs': {error}; install {package} again") from error
    return LabelledImages(Photographs(tuple(pictures)), torch.zeros(len(pictures), dtype=torch.int64))
