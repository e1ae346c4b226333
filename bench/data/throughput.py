"""How many images of a set one core decodes in a second, as a training reads them."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch

from bench.data.image_files import CROP_TRIES, ImageFiles

MOST_TIMED = 256
LONGEST_SECONDS = 3.0


def decode_rate(images: ImageFiles, size: int | None = None, seconds: float = LONGEST_SECONDS) -> float:
    """Images a second of one core's time, whoever else uses it: evenly spread files, each cut to a random resized crop.

    Args:
        size: side of the crop in pixels; by default the set's.
        seconds: about how long to measure; the files' first reading is not counted.
    """
    every = max(1, len(images) // MOST_TIMED)
    some = replace(images[torch.arange(0, len(images), every)], size=size or images.size)
    draws = torch.rand(len(some), CROP_TRIES, 4, generator=torch.Generator().manual_seed(0))
    some.read(torch.arange(len(some)), draws)  # from here on they are in memory
    count, started, used = 0, time.perf_counter(), time.thread_time()
    while time.perf_counter() - started < seconds or count < len(some) // 8:
        place = count % len(some)
        some.read(torch.tensor([place]), draws[place : place + 1])
        count += 1
    return count / (time.thread_time() - used)


def cores_needed(images_per_s: float, rate: float) -> int:
    """Cores that decode as many images a second as a step takes."""
    return math.ceil(images_per_s / rate)
