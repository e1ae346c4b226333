"""The images that planned runs need, and what is left to do on a machine that does not have them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.data.datasets import load
from bench.data.folder_settings import settings_of
from bench.data.folders import Note, quiet
from bench.data.images import DataError, ImageData
from bench.data.splits import at_most
from bench.data.tasks import data_of, prepared
from bench.records.run_info import RunInfo, needs_images


def load_images(info: RunInfo, runs_dir: Path, note: Note = quiet, download: bool | None = None) -> ImageData:
    """The images a run is planned with; a folder is looked for where the record says that it lies.

    Args:
        runs_dir: where what is found out about files is kept, when it cannot be kept beside them.
        note: told what takes time.
        download: see `bench.data.datasets.load`.

    Raises:
        DataError: they are not there, damaged, or others than were planned with.
    """
    size = info.config["data"].get("image_size") or None
    if "folder" not in info.config:
        root = os.environ.get("DATA_ROOT")
        data = load(info.dataset, root, download=download, image_size=size, runs_dir=runs_dir)
    else:
        described = info.config["folder"]
        settings = settings_of(info.dataset, info.folder or "", described)
        data = data_of(info.config).load_folder(settings, size, runs_dir, described["content"], note)
    counts = info.config["data"]
    return prepared(at_most(data, counts.get("most_train_images"), counts.get("most_test_images")), info.config)


def images_of(
    planned: Sequence[RunInfo], runs_dir: Path, note: Note = quiet, download: bool | None = None
) -> ImageData | None:
    """The images of an experiment's runs, which have one data set; None where no run needs any.

    Args:
        runs_dir, note, download: see `load_images`.

    Raises:
        DataError: they cannot be read.
    """
    first = next((info for info in planned if needs_images(info)), None)
    return None if first is None else load_images(first, runs_dir, note, download)


def optional_images_of(
    planned: Sequence[RunInfo], runs_dir: Path, note: Note = quiet
) -> tuple[list[RunInfo], ImageData | None, str]:
    """As `images_of`, without a download; where they are not there, the runs that need none.

    Returns:
        the runs that can be done, their images, and the sentence ("" where nothing is left out).
    """
    try:
        return list(planned), images_of(planned, runs_dir, note, download=False), ""
    except DataError as error:
        out = {info.signature: info for info in planned if needs_images(info)}
        for info in planned:  # in an order in which they can be done
            if any(need in out for need in info.needs):
                out[info.signature] = info
        rows = list(dict.fromkeys(label for info in out.values() for label in info.rows))
        why = str(error).splitlines()[0].rstrip(".")
        sentence = f"Left out, because they search on images that are not here: {', '.join(rows)} ({why})"
        return [info for info in planned if info.signature not in out], None, sentence
