"""Image folders as data sets: any folder of class folders under its own name, and ImageNet in torchvision's layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.data import kept
from bench.data.decoding import PUBLISHED, ImageFileError
from bench.data.folder_settings import FolderSettings
from bench.data.image_files import ImageFiles
from bench.data.images import DataError, DatasetInfo, ImageData, LabelledImages
from bench.data.layout import USUAL_SIZE, Parts, files, list_classes, list_parts, same_classes
from bench.data.survey import Survey, refuse_unreadable, survey

SMALL = 96
"""Pixels up to which a network's stem keeps the resolution, as for CIFAR."""
Note = Callable[[str], None]
"""Is told what takes time."""


def quiet(text: str) -> None:
    """Nobody is told."""


def load_folder(
    settings: FolderSettings,
    image_size: int | None = None,
    runs_dir: Path | None = None,
    content: Mapping[str, Any] | None = None,
    note: Note = quiet,
) -> ImageData:
    """A folder as a data set; every image is decoded once, the first time.

    Args:
        image_size: height and width in pixels; by default `usual_size`.
        runs_dir: where what was found is kept when the folder cannot be written.
        content: what the images were when the run was planned.
        note: told what takes time.

    Raises:
        DataError: the folder is not laid out as a data set, has changed, or holds files that cannot be read.
    """
    where = kept.places(Path(settings.folder), runs_dir)
    parts = list_parts(settings, where)
    found = parts.content
    refuse_changed(settings, found, content)
    surveys = survey_parts(settings.name, parts, where, note, found)
    size = image_size or usual_size(*surveys)
    whole = {size} == {survey.side for survey in surveys}
    info = DatasetInfo(
        settings.name,
        mean=surveys[0].mean,
        std=surveys[0].std,
        classes=parts.classes,
        image_size=size,
        padding=max(1, size // 8),
        cutout=size // 2,
        flip=settings.flip,
        stem="cifar" if size <= SMALL else "imagenet",
    )
    train, test = (_sized(part, size, whole) for part in (parts.train, parts.test))
    return ImageData(info, train, lambda: test)


def refuse_changed(settings: FolderSettings, found: Mapping[str, Any], planned: Mapping[str, Any] | None) -> None:
    """Raises DataError where the images of a part are not those that a run was planned with.

    Args:
        found, planned: fingerprints by part.
    """
    for part, content in (planned or {}).items():
        if found[part] != dict(content):
            raise DataError(
                f"data set '{settings.name}': the {part} images in {settings.folder} are not those the run was planned "
                "with. Bring them back, or run the experiment again: it plans with those that are there"
            )


def usual_size(train: Survey, test: Survey) -> int:
    """The side of images that are squares of one size, up to USUAL_SIZE; else that."""
    side = train.side if train.side == test.side else None
    return min(side or USUAL_SIZE, USUAL_SIZE)


def survey_parts(
    name: str,
    parts: Parts,
    where: tuple[Path, ...],
    note: Note,
    content: Mapping[str, Any],
    again: bool = False,
) -> tuple[Survey, Survey]:
    """What the training images and the test images are.

    Raises:
        DataError: files that cannot be read, with all their names.
    """
    found: list[Survey] = []
    unreadable: list[ImageFileError] = []
    for part, labelled in (("train", parts.train), ("test", parts.test)):
        assert isinstance(labelled.images, ImageFiles)
        known, bad = survey(labelled.images, content[part]["digest"], where, note, again)
        unreadable += bad
        found += [known] if known else []
    refuse_unreadable(name, unreadable, where)
    return found[0], found[1]


def _sized(part: LabelledImages, size: int, whole: bool) -> LabelledImages:
    assert isinstance(part.images, ImageFiles)
    return LabelledImages(replace(part.images, size=size, whole=whole), part.labels)


def load_imagenet(root: Path, image_size: int, runs_dir: Path | None = None) -> ImageData:
    """ImageNet below `root`, decoded on demand.

    Raises:
        DataError: as `imagenet_parts`.
    """
    _, parts = imagenet_parts(root, runs_dir)
    info = DatasetInfo(
        "imagenet",
        mean=(0.485, 0.456, 0.406),  # torchvision's ImageNet statistics
        std=(0.229, 0.224, 0.225),
        classes=parts.classes,
        image_size=image_size,
        padding=image_size // 8,
        cutout=image_size // 2,
        stem="imagenet",
    )
    train, test = (_sized(part, image_size, whole=False) for part in (parts.train, parts.test))
    return ImageData(info, train, lambda: test)


def imagenet_parts(root: Path, runs_dir: Path | None = None) -> tuple[Path, Parts]:
    """`root/imagenet/train/<class>/*` and `root/imagenet/val/<class>/*` (or without `imagenet/`), and where they lie.

    Raises:
        DataError: it is not there, or not laid out so.
    """
    base = root / "imagenet" if (root / "imagenet").is_dir() else root
    for folder in (base / "train", base / "val"):
        if not folder.is_dir():
            raise DataError(
                f"data set 'imagenet': {folder} is missing. Expected {root}/imagenet/train/<class>/*.JPEG and "
                f"{root}/imagenet/val/<class>/*.JPEG (set DATA_ROOT to use another folder); it cannot be downloaded "
                "automatically. `make demo` runs the same pipeline on images that need no files."
            )
    where = kept.places(base, runs_dir)
    train, test = (list_classes("imagenet", base / part, where) for part in ("train", "val"))
    same_classes("imagenet", train, test)
    return base, Parts((train, test), files(train, PUBLISHED), files(test, PUBLISHED))
