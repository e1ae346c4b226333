"""Images that stay on disk and are decoded when a batch needs them."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.config import ConfigError
from bench.data.decoding import PUBLISHED, Decoding, decode

CROP_TRIES = 10
DECODERS = "DASBENCH_DECODERS"
MOST_DECODERS = 16
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoders() -> int:
    """Threads that decode the batches of a run: DASBENCH_DECODERS, else one a core, at most MOST_DECODERS.

    Their number decides no bit: order and random numbers are drawn before, and each image is decoded by one thread.

    Raises:
        ConfigError: the environment variable is no whole number from 1 on.
    """
    text = os.environ.get(DECODERS)
    if not text:
        return min(MOST_DECODERS, cores())
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise ConfigError(f"the environment variable {DECODERS} is {text!r}; it must be a whole number of 1 to 1024")
    return int(text)


@dataclass(frozen=True)
class ImageFiles:
    """Files below a folder, indexed like a tensor; `read` decodes.

    Attributes:
        root: the folder. names: of the files, relative to it.
        size: height and width that `read` returns, in pixels.
        decoding: from a file to pixels.
        whole: every image has this height and width already; without a random crop it is served as it is.
    """

    root: str
    names: tuple[str, ...]
    size: int
    decoding: Decoding = PUBLISHED
    whole: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, indices: Tensor | slice) -> ImageFiles:
        if isinstance(indices, slice):
            return replace(self, names=self.names[indices])
        return replace(self, names=tuple(self.names[i] for i in indices.tolist()))

    def path(self, index: int) -> str:
        return os.path.join(self.root, self.names[index])

    def read(self, indices: Tensor, crop_draws: Tensor | None, pool: ThreadPoolExecutor | None = None) -> Tensor:
        """Decode images into uint8, (B, C, size, size).

        Args:
            indices: int64, (B,), on the CPU.
            crop_draws: uniform numbers in [0, 1), (B, CROP_TRIES, 4), for one random resized crop per image; None
                resizes the short side to 256/224 of `size` and takes the centre.
            pool: threads to decode with.

        Raises:
            ImageFileError: a file is missing or damaged; the message names it.
        """
        draws = [None] * len(indices) if crop_draws is None else list(crop_draws)
        work = Work(self.size, self.decoding, self.whole)
        jobs = [(self.path(i), draw, work) for i, draw in zip(indices.tolist(), draws, strict=True)]
        decoded = map(_read, jobs) if pool is None else pool.map(_read, jobs)
        return torch.stack(list(decoded))


@dataclass(frozen=True)
class Work:
    """What is done with every file of a set."""

    size: int
    decoding: Decoding
    whole: bool


def _read(job: tuple[str, Tensor | None, Work]) -> Tensor:
    from torchvision.transforms.functional import center_crop, pil_to_tensor, resize, resized_crop

    path, draws, work = job
    image, size = decode(path, work.decoding).image, work.size
    if draws is not None:
        top, left, height, width = random_resized_box(image.height, image.width, draws)
        return pil_to_tensor(resized_crop(image, top, left, height, width, [size, size]))
    if not (work.whole and image.size == (size, size)):
        image = center_crop(resize(image, round(size * 256 / 224)), [size, size])
    return pil_to_tensor(image)


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
