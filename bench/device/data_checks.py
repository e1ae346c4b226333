"""What `dasbench doctor` says of an image folder: every file is looked at, and those that cannot be read are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.data import kept
from bench.data.decoding import FULL_SCALE, PUBLISHED, Decoding
from bench.data.folder_settings import FolderSettings
from bench.data.folders import Note, imagenet_parts, survey_parts, usual_size
from bench.data.image_files import ImageFiles, cores
from bench.data.images import DataError
from bench.data.layout import Parts, list_parts
from bench.data.survey import Survey
from bench.data.throughput import decode_rate
from bench.device.doctor import Check


def folder_checks(settings: FolderSettings, runs_dir: Path, note: Note) -> Iterator[Check]:
    """Layout, classes, files, statistics and decoding of a folder that is a data set."""
    where = kept.places(Path(settings.folder), runs_dir)
    try:
        parts = list_parts(settings, where)
    except DataError as error:
        yield Check(f"data {settings.name}", False, str(error), needed=True)
        return
    yield from _checks(settings.name, parts, settings.decoding, where, note)


def imagenet_checks(root: Path, runs_dir: Path, note: Note) -> Iterator[Check]:
    """The same of ImageNet below DATA_ROOT."""
    try:
        base, parts = imagenet_parts(root, runs_dir)
    except DataError as error:
        yield Check("data imagenet", False, str(error), needed=True)
        return
    yield from _checks("imagenet", parts, PUBLISHED, kept.places(base, runs_dir), note)


def _checks(name: str, parts: Parts, decoding: Decoding, where: tuple[Path, ...], note: Note) -> Iterator[Check]:
    counts = parts.train.labels.bincount(minlength=len(parts.classes)).tolist()
    few, many = min(counts), max(counts)
    fewest = parts.classes[counts.index(few)]
    a_class = f"{few:,} in every class" if few == many else f"{few:,} ('{fewest}') to {many:,} a class"
    train, test = f"{len(parts.train):,} training images ({a_class})", f"{len(parts.test):,} test images"
    yield Check(f"data {name}", True, f"{len(parts.classes)} classes, {train} and {test}")
    left_out = [f"{Path(listing.root).name}/{file}" for listing in parts.listings for file in listing.left_out]
    if left_out:
        yield Check(f"data {name}", False, _left_out(left_out))
    try:
        surveys = survey_parts(name, parts, where, note, parts.content, again=True)
    except DataError as error:
        yield Check(f"data {name}", False, str(error), needed=True)
        return
    yield from _said(name, surveys, decoding)
    images = parts.train.images
    assert isinstance(images, ImageFiles)
    size = usual_size(*surveys)
    rate = decode_rate(images, size)
    said = f"one core decodes {rate:,.0f} training crops of {size} pixels a second, {cores()} cores here"
    yield Check(
        f"data {name}", True, said + "; `dasbench speed retrain-imagenet --images` sets it beside a step's need"
    )


def _left_out(files: Sequence[str]) -> str:
    kinds = Counter(Path(file).suffix.lower() or "no suffix" for file in files)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    first = ", ".join(files[:3])
    return f"{len(files)} files are no images, or lie in no class, and are left out: {listed} (e.g. {first})"


def _said(name: str, surveys: tuple[Survey, Survey], decoding: Decoding) -> Iterator[Check]:
    """Sizes and kinds of all images, the statistics, and pixels that a setting would show better."""
    train, test = surveys
    modes = Counter(train.modes) + Counter(test.modes)
    more = {"turned upright": train.rotated + test.rotated, "first of several frames": train.frames + test.frames}
    kinds = [f"{count:,} {mode}" for mode, count in modes.most_common()]
    kinds += [f"{count:,} {what}" for what, count in more.items() if count]
    small, large = (min(train.smallest, test.smallest, key=_area), max(train.largest, test.largest, key=_area))
    sizes = f"{small[0]}x{small[1]} to {large[0]}x{large[1]} pixels"
    yield Check(f"data {name}", True, f"all can be read; {sizes}; {', '.join(kinds)}")
    numbers = ("/".join(f"{value:.4f}" for value in values) for values in (train.mean, train.std))
    yield Check(f"data {name}", True, "mean {}, standard deviation {} of the training images".format(*numbers))
    brightest = max(train.brightest or 0, test.brightest or 0)
    if decoding.white == FULL_SCALE and 0 < brightest <= FULL_SCALE // 2:
        white = 2 ** brightest.bit_length() - 1
        text = f"no 16-bit pixel is brighter than {brightest} of {FULL_SCALE}; if white is {white}, set white: {white}"
        yield Check(f"data {name}", False, text)


def _area(size: Sequence[int]) -> int:
    return size[0] * size[1]
