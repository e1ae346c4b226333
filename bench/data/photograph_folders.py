"""A folder of photographs as a data set of super-resolution; every file is decoded once, the first time.

A folder whose pixels fit into MOST_HELD bytes is read into memory; of a larger one files are decoded whenever a patch
of them is needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from bench.data import kept
from bench.data.fingerprint import fingerprint
from bench.data.folder_settings import FolderSettings
from bench.data.folders import Note, quiet, refuse_changed
from bench.data.image_files import ImageFiles
from bench.data.images import DatasetInfo, ImageData, LabelledImages
from bench.data.photograph_layout import Found, find_photographs
from bench.data.photographs import HeldPicture, Photographs, PictureFile, decoded
from bench.data.survey import refuse_unreadable, survey

MOST_HELD = 2 * 2**30
"""Bytes of decoded photographs, of both parts together."""
USUAL_PATCH = 64
"""Side of a patch in high resolution, for what only looks whether a network takes patches."""


def described(name: str, channels: int) -> DatasetInfo:
    """What there is to know of photographs before a run has a factor. They are in [0, 1] as they are."""
    return DatasetInfo(
        name,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        classes=("photograph",),
        image_size=USUAL_PATCH,
        padding=0,
        cutout=0,
        division="file",
    )


@dataclass(frozen=True)
class PhotographParts:
    """The photographs of a folder, listed and not decoded."""

    train: LabelledImages
    test: LabelledImages

    @property
    def content(self) -> dict[str, Any]:
        """Fingerprints of both: what the data set is, wherever it lies."""
        classes = ("photograph",)
        return {"train": fingerprint(self.train, classes), "test": fingerprint(self.test, classes)}


def list_parts(settings: FolderSettings, where: tuple[Path, ...] = ()) -> PhotographParts:
    """The photographs of a folder. Raises DataError as `find_photographs`."""
    return PhotographParts(*(_listed(settings, found) for found in find_photographs(settings)))


def _listed(settings: FolderSettings, found: Found) -> LabelledImages:
    files = [
        PictureFile(str(found.root / name), _size(found.root / name), settings.decoding, found.low_files(name))
        for name in found.names
    ]
    return LabelledImages(Photographs(tuple(files)), torch.zeros(len(files), dtype=torch.int64))


def _size(path: Path) -> tuple[int, int]:
    """Height and width, from the head of a file; zeros of one that cannot be read, which a survey will name."""
    try:
        with Image.open(path) as file:
            return file.height, file.width
    except Exception:  # every format fails in its own way
        return 0, 0


def load_folder(
    settings: FolderSettings,
    image_size: int | None = None,
    runs_dir: Path | None = None,
    content: Mapping[str, Any] | None = None,
    note: Note = quiet,
) -> ImageData:
    """See `bench.data.folders.load_folder`, whose arguments these are.

    Raises:
        DataError: the folder is not laid out as a data set, has changed, or holds files that cannot be read, with all
            their names.
    """
    where = kept.places(Path(settings.folder), runs_dir)
    parts = list_parts(settings)
    refuse_changed(settings, parts.content, content)
    _refuse_unreadable(settings, parts, where, note)
    pictures = [_files_of(part) for part in (parts.train, parts.test)]
    held = settings.channels * sum(each.size[0] * each.size[1] for part in pictures for each in part) <= MOST_HELD
    train, test = (_held(part) if held else part for part in (parts.train, parts.test))
    return ImageData(described(settings.name, settings.channels), train, lambda: test)


def _files_of(part: LabelledImages) -> Sequence[PictureFile]:
    assert isinstance(part.images, Photographs)
    return [each for each in part.images.pictures if isinstance(each, PictureFile)]


def _refuse_unreadable(settings: FolderSettings, parts: PhotographParts, where: tuple[Path, ...], note: Note) -> None:
    """Every file of both resolutions is looked at once."""
    paths = [path for part in (parts.train, parts.test) for each in _files_of(part) for path in _paths(each)]
    names = tuple(os.path.relpath(path, settings.folder) for path in paths)
    files = ImageFiles(settings.folder, names, size=1, decoding=settings.decoding)
    digests = "-".join(str(each["digest"]) for each in parts.content.values())
    _, unreadable = survey(files, digests, where, note)
    refuse_unreadable(settings.name, unreadable, where)


def _paths(picture: PictureFile) -> list[str]:
    return [picture.path, *(path for _, path in picture.low)]


def _held(part: LabelledImages) -> LabelledImages:
    """The same photographs in memory."""
    pictures = tuple(HeldPicture(each.path, decoded(each.path, each.decoding), each) for each in _files_of(part))
    return LabelledImages(Photographs(pictures), part.labels)
