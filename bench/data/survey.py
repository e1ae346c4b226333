"""Every image of a folder decoded once: which cannot be read, their sizes and kinds, and the channels' statistics.

What was found of a file is kept with its name, size and time of modification, so that a survey that was stopped goes
on, and only what changed is decoded again.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.config import ConfigError, parse
from bench.data import kept
from bench.data.decoding import Decoding, ImageFileError, decode, has_frames
from bench.data.image_files import ImageFiles, cores
from bench.data.images import DataError

KEPT_EVERY = 20_000
"""Files after which an unfinished survey is kept."""
MOST_SHOWN = 200
"""Unreadable files that a message names; all of them are kept in a file."""
RULES = 1
"""Version of the rules in `bench.data.decoding`: raised when a file would give other pixels."""
CONSTANT = 1e-3
"""Standard deviation, of 255, up to which a channel has one value everywhere; it is then divided by 1, not by it."""
_ROW = np.dtype(
    [("key", "<u8"), ("width", "<i4"), ("height", "<i4"), ("mean", "<f8", 3), ("square", "<f8", 3), ("mode", "S8"),
     ("rotated", "?"), ("frames", "?"), ("largest", "<u2")]
)  # fmt: skip


@dataclass(frozen=True)
class Survey:
    """What all images of a set are together.

    Attributes:
        images: how many.
        mean, std: of each channel for pixels in [0, 1]; every image counts the same, whatever its size.
        side: height and width in pixels where all images are squares of one size, else None.
        smallest, largest: width and height of the images with the fewest and the most pixels.
        modes: images by kind, in Pillow's words. rotated: images whose EXIF orientation is not upright. frames: files
            of several images.
        brightest: the largest value among images of 16 bits; None without such.
    """

    images: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    side: int | None
    smallest: tuple[int, ...]
    largest: tuple[int, ...]
    modes: dict[str, int] = field(default_factory=dict)
    rotated: int = 0
    frames: int = 0
    brightest: int | None = None


def survey(
    images: ImageFiles,
    identity: str,
    where: tuple[Path, ...] = (),
    note: Callable[[str], None] = lambda text: None,
    again: bool = False,
) -> tuple[Survey | None, list[ImageFileError]]:
    """Look at every image, or recall what was found when it was looked at.

    Args:
        identity: digest of the images' fingerprint; what is kept under it is believed.
        where: places (`bench.data.kept`) of what is kept.
        note: told how far it is.
        again: believe only what is kept of files whose size and time of modification are as they were.

    Returns:
        the survey, None where an image cannot be read; and an error for each that cannot.
    """
    name = _name(images, identity)
    if not again and (known := _read(kept.read(where, name))) is not None:
        return known, []
    rows, unreadable = _rows(images, where, note)
    if unreadable or not len(rows):
        return None, unreadable
    found = _together(rows, images.decoding.channels)
    kept.write(where, name, json.dumps(asdict(found), indent=1).encode())
    return found, []


def surveyed(images: ImageFiles, identity: str, where: tuple[Path, ...]) -> bool:
    """Whether `survey` has an answer without looking."""
    return kept.read(where, _name(images, identity)) is not None


def _name(images: ImageFiles, identity: str) -> str:
    return f"survey-{identity}-{_rules(images.decoding)}.json"


def refuse_unreadable(name: str, unreadable: Sequence[ImageFileError], where: tuple[Path, ...]) -> None:
    """Raises DataError when there are files that cannot be read; it names them all, beyond MOST_SHOWN in a file."""
    if not unreadable:
        return
    lines = [f"  {error}" for error in unreadable]
    if len(lines) > MOST_SHOWN:
        path = kept.write(where, "unreadable.txt", "\n".join(lines).encode(errors="surrogateescape"))
        lines = [*lines[:MOST_SHOWN], f"  and {len(unreadable) - MOST_SHOWN} more" + (f", see {path}" if path else "")]
    count = "1 file" if len(unreadable) == 1 else f"{len(unreadable)} files"
    raise DataError(f"data set '{name}': {count} cannot be read:\n" + "\n".join(lines))


def _rules(decoding: Decoding) -> str:
    text = json.dumps([RULES, *asdict(decoding).values()])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _read(content: bytes | None) -> Survey | None:
    try:
        return None if content is None else parse(Survey, json.loads(content), "survey")
    except (ValueError, ConfigError, RecursionError):
        return None


def _rows(
    images: ImageFiles, where: tuple[Path, ...], note: Callable[[str], None]
) -> tuple[np.ndarray, list[ImageFileError]]:
    """A row for each image that can be read, in order, from what is kept or from the file; an error for the others."""
    name = f"files-{_rules(images.decoding)}.npy"
    known = _load(kept.read(where, name))
    rows = np.zeros(len(images), _ROW)
    rows["key"] = keys = np.array([_key(images, i) for i in range(len(images))], dtype=np.uint64)
    others = known[~np.isin(known["key"], keys)]
    known = known[np.argsort(known["key"])]
    place = np.searchsorted(known["key"], keys).clip(max=max(0, len(known) - 1))
    there = known["key"][place] == keys if len(known) else np.zeros(len(images), bool)
    rows[there] = known[place[there]]
    good, missing = there.copy(), np.flatnonzero(~there).tolist()
    unreadable: list[ImageFileError] = []
    with ThreadPoolExecutor(cores()) as pool:
        for first in range(0, len(missing), KEPT_EVERY):
            part = missing[first : first + KEPT_EVERY]
            note(f"decoding {len(missing):,} images once, to see that each can be read ({first:,} done)")
            for i, found in zip(part, pool.map(lambda i: _look(images, i), part), strict=True):
                if isinstance(found, ImageFileError):
                    unreadable.append(found)
                else:
                    rows[i], good[i] = (keys[i], *found), True
            kept.write(where, name, _dump(np.concatenate([others, rows[good]])))
    return rows[good], unreadable


def _key(images: ImageFiles, index: int) -> int:
    """Name, size and time of modification of a file as a number; of one that is not there, its name."""
    try:
        status = os.stat(images.path(index))
        text = f"{os.path.basename(images.root)}/{images.names[index]}\0{status.st_size}\0{status.st_mtime_ns}"
    except OSError:
        text = images.names[index]
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest(), "little")


def _look(images: ImageFiles, index: int) -> tuple[Any, ...] | ImageFileError:
    """What a row holds of one file, behind the key."""
    path = images.path(index)
    try:
        found = decode(path, images.decoding)
        frames = has_frames(path)
    except ImageFileError as error:
        return error
    image = found.image
    counts = np.array(image.histogram(), dtype=np.int64).reshape(-1, 256)  # exact sums, whatever the order
    values, pixels = np.arange(256), image.width * image.height
    mean = np.resize(counts @ values / pixels, 3)
    square = np.resize(counts @ values**2 / pixels, 3)
    return image.width, image.height, mean, square, found.mode.encode()[:8], found.rotated, frames, found.largest


def _together(rows: np.ndarray, channels: int) -> Survey:
    mean = [math.fsum(rows["mean"][:, c]) / len(rows) for c in range(channels)]
    square = [math.fsum(rows["square"][:, c]) / len(rows) for c in range(channels)]
    std = [math.sqrt(max(0.0, s - m * m)) for m, s in zip(mean, square, strict=True)]
    std = [value if value > CONSTANT else 255.0 for value in std]
    area = rows["width"].astype(np.int64) * rows["height"]
    smallest, largest = rows[area.argmin()], rows[area.argmax()]
    sides = {int(smallest["width"]), int(smallest["height"]), int(largest["width"]), int(largest["height"])}
    modes = Counter(mode.decode() for mode in rows["mode"].tolist())
    deep = [mode.startswith("I;16") for mode in modes]
    return Survey(
        images=len(rows),
        mean=tuple(value / 255 for value in mean),
        std=tuple(value / 255 for value in std),
        side=sides.pop() if len(sides) == 1 and bool((rows["width"] == rows["height"]).all()) else None,
        smallest=(int(smallest["width"]), int(smallest["height"])),
        largest=(int(largest["width"]), int(largest["height"])),
        modes=dict(modes.most_common()),
        rotated=int(rows["rotated"].sum()),
        frames=int(rows["frames"].sum()),
        brightest=int(rows["largest"].max()) if any(deep) else None,
    )


def _load(content: bytes | None) -> np.ndarray:
    try:
        rows = np.load(io.BytesIO(content or b""), allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return np.zeros(0, _ROW)
    return rows if rows.dtype == _ROW and rows.ndim == 1 else np.zeros(0, _ROW)


def _dump(rows: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    return file.getvalue()
