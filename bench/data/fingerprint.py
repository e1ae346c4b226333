"""What tells one data set from another of the same name: classes, how many images each has, and the images' sizes."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from bench.data.image_files import ImageFiles
from bench.data.images import LabelledImages
from bench.data.photographs import Photographs

FILES_MEASURED = 20_000
"""Of a folder with more images, the sizes of this many, evenly spread, are looked at; the names of all."""


def fingerprint(images: LabelledImages, classes: Sequence[str]) -> dict[str, Any]:
    """Number of images and classes, and a digest.

    The digest covers the class names, every label, and the images: in memory their bytes, in a folder their names
    (class/file) and file sizes, wherever the folder lies.
    """
    sha = hashlib.sha256()
    for part in (*classes, str(len(images))):
        sha.update(part.encode(errors="surrogateescape") + b"\0")
    sha.update(images.labels.numpy().tobytes())
    for content in _contents(images):
        sha.update(content)
    return {"images": len(images), "classes": len(classes), "digest": sha.hexdigest()[:16]}


def _contents(images: LabelledImages) -> Iterator[bytes]:
    if isinstance(images.images, Photographs):
        yield from images.images.contents()
        return
    if not isinstance(images.images, ImageFiles):
        pixels = images.images.contiguous().numpy()
        yield f"{pixels.shape} {zlib.crc32(pixels.data):08x}".encode()
        return
    files = images.images
    every = -(-len(files) // FILES_MEASURED) or 1
    for number, name in enumerate(files.names):
        size = _size(files.path(number)) if number % every == 0 else ""
        yield f"{'/'.join(name.split('/')[-2:])} {size}\n".encode(errors="surrogateescape")


def _size(path: str) -> int | str:
    """In bytes; of a file that is not there none, it is named where files are decoded."""
    try:
        return os.stat(path).st_size
    except OSError:
        return "missing"
