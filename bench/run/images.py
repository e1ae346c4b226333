"""The images that planned runs need, and what is left to do on a machine that does not have them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bench.data.datasets import DataError, ImageData, load
from bench.records.run_info import RunInfo, needs_images


def images_of(planned: Sequence[RunInfo], download: bool | None = None) -> ImageData | None:
    """The images of an experiment's runs, which have one data set; None where no run needs any.

    Args:
        download: see `bench.data.datasets.load`.

    Raises:
        DataError: they cannot be read.
    """
    first = next((info for info in planned if needs_images(info)), None)
    if first is None:
        return None
    size = first.config["data"].get("image_size")
    options = {"image_size": size} if size else {}
    return load(first.dataset, os.environ.get("DATA_ROOT"), download=download, **options)


def optional_images_of(planned: Sequence[RunInfo]) -> tuple[list[RunInfo], ImageData | None, str]:
    """As `images_of`, without a download; where they are not there, the runs that need none.

    Returns:
        the runs that can be done, their images, and the sentence ("" where nothing is left out).
    """
    try:
        return list(planned), images_of(planned, download=False), ""
    except DataError as error:
        out = {info.signature: info for info in planned if needs_images(info)}
        for info in planned:  # in an order in which they can be done
            if any(need in out for need in info.needs):
                out[info.signature] = info
        rows = list(dict.fromkeys(label for info in out.values() for label in info.rows))
        sentence = f"Left out, because they search on images that are not here: {', '.join(rows)}. {error}"
        return [info for info in planned if info.signature not in out], None, sentence
