"""Data sets as uint8 tensors, checked before use; a missing or damaged one ends in a `DataError` that says what to do.

The training images are an attribute; the test images are not: only `bench.data.splits.FinalEvaluation` reads them.
Each data set is a file of `bench.data.sets`, called as the data set, which begins with its line in a list and has

    def load(root: Path, download: bool, image_size: int | None, runs_dir: Path | None) -> ImageData
"""

from __future__ import annotations

import difflib
import importlib
import os
from pathlib import Path

from bench.data.images import DataError, DatasetInfo, ImageData, LabelledImages
from bench.data.names import DATASETS

__all__ = ["DataError", "DatasetInfo", "ImageData", "LabelledImages", "load"]


def load(
    name: str,
    root: Path | str | None = None,
    *,
    download: bool | None = None,
    image_size: int | None = None,
    runs_dir: Path | None = None,
) -> ImageData:
    """Load a data set by name; `bench.data.folders` loads any other image folder.

    Args:
        name: of a file of `bench.data.sets`.
        root: folder of the data sets; None means the environment variable DATA_ROOT, else `./data`.
        download: whether to fetch a CIFAR that is not there; None means yes unless DASBENCH_DOWNLOAD=0.
        image_size: height and width in pixels, for "imagenet" (default 224); the others have one size.
        runs_dir: where the list of many files is kept when it cannot be kept beside them.

    Raises:
        DataError: unknown name or size, missing or damaged files, a download that failed.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"; did you mean '{near[0]}'? Known" if near else "; known"
        raise DataError(f"unknown data set '{name}'{hint}: {', '.join(DATASETS)}")
    folder = Path(root if root is not None else os.environ.get("DATA_ROOT", "data")).expanduser().absolute()
    if download is None:
        download = os.environ.get("DASBENCH_DOWNLOAD", "1") != "0"
    data: ImageData = importlib.import_module(f"bench.data.sets.{name}").load(folder, download, image_size, runs_dir)
    if image_size not in (None, data.info.image_size):
        raise DataError(f"data set '{name}' has images of {data.info.image_size} pixels, not {image_size}")
    return data
