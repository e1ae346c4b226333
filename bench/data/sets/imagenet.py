"""image folders train/<class> and val/<class> ; any classes; 224x224 unless a profile differs"""

from __future__ import annotations

from pathlib import Path

from bench.data.folders import load_imagenet
from bench.data.images import ImageData


def load(root: Path, download: bool, image_size: int | None, runs_dir: Path | None) -> ImageData:
    """See `bench.data.folders.load_imagenet`; nothing is downloaded."""
    return load_imagenet(root, image_size or 224, runs_dir)
