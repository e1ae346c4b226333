"""Images that stay on disk and are decoded when a batch needs them (ImageNet)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".ppm")
CROP_TRIES = 10
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)


class ImageFileError(RuntimeError):
    """An image file that cannot be decoded."""


@dataclass(frozen=True)
class ImageFiles:
    """Paths of images, indexed like a tensor; `read` decodes.

    Attributes:
        size: height and width that `read` returns, in pixels.
    """

    paths: tuple[Path, ...]
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: Tensor | slice) -> ImageFiles:
        if isinstance(indices, slice):
            return ImageFiles(self.paths[indices], self.size)
        return ImageFiles(tuple(self.paths[i] for i in indices.tolist()), self.size)

    def read(self, indices: Tensor, crop_draws: Tensor | None, pool: ThreadPoolExecutor | None = None) -> Tensor:
        """Decode images into uint8, (B, 3, size, size).

        Args:
            indices: int64, (B,), on the CPU.
            crop_draws: uniform numbers in [0, 1), (B, CROP_TRIES, 4), for one random resized crop per image; None
                resizes the short side to 256/224 of `size` and takes the centre.
            pool: threads to decode with.

        Raises:
            ImageFileError: a file is missing or damaged; the message names it.
        """
        draws = [None] * len(indices) if crop_draws is None else list(crop_draws)
        jobs = [(self.paths[i], draw, self.size) for i, draw in zip(indices.tolist(), draws, strict=True)]
        decoded = map(_decode, jobs) if pool is None else pool.map(_decode, jobs)
        return torch.stack(list(decoded))


def _decode(job: tuple[Path, Tensor | None, int]) -> Tensor:
    from torchvision.transforms.functional import center_crop, pil_to_tensor, resize, resized_crop

    path, draws, size = job
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise ImageFileError(f"cannot decode {path}: {error}; replace the file or remove it") from error
    if draws is None:
        return pil_to_tensor(center_crop(resize(image, round(size * 256 / 224)), [size, size]))
    top, left, height, width = random_resized_box(image.height, image.width, draws)
    return pil_to_tensor(resized_crop(image, top, left, height, width, [size, size]))


def random_resized_box(height: int, width: int, draws: Tensor) -> tuple[int, int, int, int]:
    """Top, left, height, width of the box that Inception-style random resized crop takes (Szegedy et al. 2015).

    Area in [0.08, 1] of the image, aspect ratio log-uniform in [3/4, 4/3]; after CROP_TRIES boxes that do not fit,
    the largest central box whose ratio is allowed.

    Args:
        draws: uniform numbers in [0, 1), (CROP_TRIES, 4): area, ratio, top, left.
    """
    log_low, log_high = math.log(_RATIO[0]), math.log(_RATIO[1])
    for area_draw, ratio_draw, top_draw, left_draw in draws.tolist():
        area = height * width * (_AREA[0] + area_draw * (_AREA[1] - _AREA[0]))
        ratio = math.exp(log_low + ratio_draw * (log_high - log_low))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(top_draw * (height - box_height + 1))
            left = int(left_draw * (width - box_width + 1))
            return top, left, box_height, box_width
    box_width = min(width, round(height * _RATIO[1]))
    box_height = min(height, round(width / _RATIO[0]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def list_image_folder(folder: Path) -> tuple[list[str], list[Path], list[int]]:
    """Class names (sorted folder names), image paths in sorted order, and their labels."""
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(_image_paths(folder / name))
        paths += found
        labels += [label] * len(found)
    return classes, paths, labels


def _image_paths(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.is_file() and entry.name.lower().endswith(SUFFIXES):
            yield Path(entry.path)
