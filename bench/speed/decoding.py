"""What a step takes of images a second, beside what a core decodes, and how long a step waits for its files."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.config import ConfigError
from bench.data.augment import get_augmentation
from bench.data.batches import Batches
from bench.data.folder_settings import FolderSettings
from bench.data.image_files import ImageFiles
from bench.data.images import DatasetInfo, LabelledImages
from bench.data.layout import TRAIN, list_classes
from bench.data.listing import subfolders
from bench.data.throughput import cores_needed, decode_rate
from bench.device.engine import Engine
from bench.speed.cases import Case

STEPS = 6
"""Steps that are run on batches of files; the first ones' batches are decoded before there is a step to hide behind."""


def training_files(folder: Path, runs_dir: Path) -> LabelledImages:
    """The training images of a folder, with or without `train/`.

    Raises:
        ConfigError: it is not there. DataError: it has no classes, or an empty one.
    """
    root = folder.absolute()
    if not root.is_dir():
        raise ConfigError(f"there is no folder {root}; --images takes one with class folders, or train/ with them")
    root = root / TRAIN if TRAIN in subfolders(root) else root
    listing = list_classes(root.name, root)
    files = ImageFiles(listing.root, listing.names, 224, FolderSettings(str(folder), name="speed").decoding)
    return LabelledImages(files, listing.labels)


def beside_decoding(case: Case, step_ms: float, images: LabelledImages, engine: Engine) -> dict[str, Any]:
    """Columns of a case: images a second of a core's time, cores that keep up with the step, percent spent waiting."""
    assert isinstance(images.images, ImageFiles)
    rate = decode_rate(images.images, case.side)
    need = case.images / step_ms * 1e3
    return {
        "decode_per_s_core": rate,
        "decode_cores": cores_needed(need, rate),
        "data_share_percent": waiting_percent(case, images, engine),
    }


def waiting_percent(case: Case, images: LabelledImages, engine: Engine) -> float:
    """Percent of the time of steps on this machine that is spent waiting for the next batch of files."""
    assert isinstance(images.images, ImageFiles)
    files = replace(images.images, size=case.side)
    info = DatasetInfo("speed", (0.5,) * 3, (0.25,) * 3, tuple("ab"), case.side, padding=4, cutout=16)
    some = torch.arange(case.images * STEPS) % len(files)
    augmentation = get_augmentation("resized-crop-flip", info)
    served = Batches(files[some], images.labels[some], case.images, augmentation, 0, engine.device)
    waited, started = 0.0, time.perf_counter()
    batches = served.epoch(0)
    for _ in range(STEPS):
        before = time.perf_counter()
        next(batches)
        waited += time.perf_counter() - before
        case.step()
        engine.synchronize()
    return 100 * waited / (time.perf_counter() - started)
