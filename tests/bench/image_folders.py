"""Folders of classes with random images, and experiments on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from tests.bench.conftest import TINY
from tests.bench.image_writers import png


def class_folders(root: Path, counts: dict[str, int], size: tuple[int, int] = (16, 16), seed: int = 0) -> Path:
    """Class folders of random PNGs."""
    random = np.random.default_rng([seed, *root.name.encode()])
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for k in range(count):
            png(root / name / f"{k}.png", random.integers(0, 256, (*size, 3), dtype=np.uint8))
    return root


def experiment(place: Path, dataset: object, **recipe: object) -> str:
    content = yaml.safe_load(TINY.read_text())
    content["dataset"] = dataset
    profile = content["profiles"]["tiny"]
    profile["data"] = {}
    profile["recipe_changes"] |= {"epochs": 1, "batch_size": 8, **recipe}
    profile["options"]["darts"] |= {"epochs": 1, "batch_size": 4}
    (place / "mine.yaml").write_text(yaml.safe_dump(content))
    return str(place / "mine.yaml")
