"""Which images lie in the class folders of a folder, kept so that a million files are not listed again and again.

A folder's list is believed while its modification time is the one at which it was listed: adding, removing and renaming
files changes it. The images' fingerprint looks at sizes besides (`bench.data.fingerprint`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from bench.data import kept
from bench.data.decoding import is_image
from bench.data.images import DataError

JUNK = {"__macosx", "@eadir", "thumbs.db", "desktop.ini", "lost+found"}
"""What operating systems leave in folders; as what begins with a dot, it is nobody's image or class."""
UNREAD = {".heic", ".heif", ".jxl", ".svg", ".exr", ".dcm", ".npy", ".nef", ".cr2", ".cr3", ".arw", ".dng", ".hdr"}
"""Images to people that Pillow may not know: one of them is named as unreadable, not left out."""
SETTLED_SECONDS = 2.0
"""A folder that changed so short a time ago may change again with the same time stamp; its list is not kept."""


@dataclass(frozen=True)
class Listing:
    """The images of a folder of class folders.

    Attributes:
        root: the folder. classes: its class folders, sorted.
        names: of the images, relative to the folder, by class and in sorted order; in subfolders of a class, too.
        labels: int64, (N,).
        left_out: files that are no images, relative to the folder.
    """

    root: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: Tensor
    left_out: tuple[str, ...]

    @property
    def counts(self) -> list[int]:
        """Images of each class."""
        return torch.bincount(self.labels, minlength=len(self.classes)).tolist()


@dataclass(frozen=True)
class _Content:
    """What lies in one folder at a time of modification."""

    modified: int
    images: list[str]
    others: list[str]
    folders: list[str]


def visible(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.name.lower() not in JUNK


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones and what systems leave.

    Raises:
        DataError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if visible(entry) and entry.is_dir())
    except OSError as error:
        raise DataError(f"cannot list {folder}: {error.strerror}") from None


def list_images(root: Path, where: tuple[Path, ...] = (), name: str = "listing") -> Listing:
    """The images of every class folder of `root`.

    Args:
        where, name: places (`bench.data.kept`) and name of the list of the last time.

    Raises:
        DataError: a folder that cannot be listed.
    """
    known = _read(kept.read(where, f"{name}.json"))
    found: dict[str, _Content] = {}
    classes = tuple(subfolders(root))
    names: list[str] = []
    labels: list[int] = []
    left_out = _loose(root)
    for label, folder in enumerate(classes):
        contents = dict(_walk(root, folder, known, frozenset()))
        found |= contents
        images = [f"{place}/{image}" for place, content in contents.items() for image in content.images]
        images.sort(key=(lambda path: path.split("/")) if len(contents) > 1 else None)
        left_out += [f"{place}/{other}" for place, content in contents.items() for other in content.others]
        names += images
        labels += [label] * len(images)
    if found != known:
        kept.write(where, f"{name}.json", _written(found))
    return Listing(str(root), classes, tuple(names), torch.tensor(labels, dtype=torch.int64), tuple(left_out))


def _loose(root: Path) -> list[str]:
    """Files beside the class folders: they have no class."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if visible(entry) and not entry.is_dir())


def _walk(
    root: Path, place: str, known: dict[str, _Content], above: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, _Content]]:
    """A folder and those in it, each listed unless it is as it was; links that lead back are not followed."""
    folder = root / place
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in above:
            return
        content = known.get(place)
        if content is None or content.modified != status.st_mtime_ns:
            content = scan(folder, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"cannot list {folder}: {error.strerror}") from None
    yield place, content
    for below in content.folders:
        yield from _walk(root, f"{place}/{below}", known, above | {(status.st_dev, status.st_ino)})


def scan(folder: Path, modified: int = 0) -> _Content:
    """The images, other files and folders in a folder, each sorted by name. Raises OSError."""
    content = _Content(modified, [], [], [])
    with os.scandir(folder) as entries:
        for entry in entries:
            if not visible(entry):
                continue
            if entry.is_dir():
                content.folders.append(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in _suffixes() or is_image(entry.path):
                content.images.append(entry.name)
            else:
                content.others.append(entry.name)
    for names in (content.images, content.others, content.folders):
        names.sort()
    return content


@cache
def _suffixes() -> frozenset[str]:
    return frozenset(Image.registered_extensions()) | UNREAD


def _read(content: bytes | None) -> dict[str, _Content]:
    """What was kept; nothing of what cannot be read."""
    try:
        document = json.loads(content or b"{}")
        return {place: _Content(*entry) for place, entry in document["folders"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _written(found: dict[str, _Content]) -> bytes:
    recent = time.time_ns() - int(SETTLED_SECONDS * 1e9)
    settled = {
        place: [content.modified, content.images, content.others, content.folders]
        for place, content in found.items()
        if content.modified < recent
    }
    return json.dumps({"folders": settled}).encode()
