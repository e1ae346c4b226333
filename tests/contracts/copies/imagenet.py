"""Of ImageNet: three classes of four training and two test images of noise, in several sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    for part, count in (("train", 4), ("val", 2)):
        for name in ("n01440764", "n01443537", "n02102040"):
            folder = root / "imagenet" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (232 + 8 * number, 248, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}_{number}.JPEG")
