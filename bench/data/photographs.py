"""Photographs of any size, whole: what super-resolution learns from. High resolution is the image, low is made of it.

Low resolution is the image made smaller by antialiased bicubic interpolation and rounded to 8 bits
(`methods.parts.pictures.resize`), or what a file beside it says. Sides are cut at the right and at the bottom to a
multiple of the factor.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bench.data.decoding import Decoding, ImageFileError, decode
from methods.parts.pictures import GREY_LEVELS, in_grey_levels, resize


class Picture(Protocol):
    """One photograph.

    Attributes:
        name: for messages.
        size: height and width in pixels, as it is.
    """

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...

    def pair(self, scale: int) -> tuple[Tensor, Tensor]:
        """Low and high resolution: uint8, (channels, h, w) and (channels, scale * h, scale * w).

        Raises:
            ImageFileError: a file is missing, damaged, or of another size than it should be.
        """

    def content(self) -> bytes:
        """What tells it from others: of its pixels, or its file's name and size."""


def cut(high: Tensor, scale: int) -> Tensor:
    """Without the rows at the bottom and the columns at the right that are no whole pixels of low resolution."""
    return high[:, : high.shape[1] // scale * scale, : high.shape[2] // scale * scale]


def made_smaller(high: Tensor, scale: int) -> Tensor:
    """Low resolution of an image, uint8, (channels, h, w), whose sides are multiples of the factor."""
    _, height, width = high.shape
    low = in_grey_levels(resize(high[None].float() / GREY_LEVELS, height // scale, width // scale))
    return (low[0] * GREY_LEVELS).round().to(torch.uint8)


@dataclass(frozen=True, eq=False)
class HeldPicture:
    """In memory; both resolutions are kept once they were asked for.

    Attributes:
        pixels: uint8, (channels, h, w).
        file: where it is from, if that is a folder.
    """

    name: str
    pixels: Tensor
    file: PictureFile | None = None
    _kept: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    def pair(self, scale: int) -> tuple[Tensor, Tensor]:
        if scale not in self._kept:
            high, low = cut(self.pixels, scale), self.file.low_resolution(scale, self.size) if self.file else None
            self._kept[scale] = made_smaller(high, scale) if low is None else low, high
        return self._kept[scale]

    def content(self) -> bytes:
        if self.file is not None:
            return self.file.content()
        return f"{self.name} {self.size} {zlib.crc32(np.ascontiguousarray(self.pixels.numpy()).data):08x}\n".encode()


@dataclass(frozen=True)
class PictureFile:
    """On disk, decoded whenever it is asked for.

    Attributes:
        low: by factor, the file of low resolution, where there is one.
    """

    path: str
    size: tuple[int, int]
    decoding: Decoding
    low: tuple[tuple[int, str], ...] = ()

    @property
    def name(self) -> str:
        return self.path

    def pair(self, scale: int) -> tuple[Tensor, Tensor]:
        whole = decoded(self.path, self.decoding)
        high, low = cut(whole, scale), self.low_resolution(scale, (whole.shape[1], whole.shape[2]))
        return made_smaller(high, scale) if low is None else low, high

    def low_resolution(self, scale: int, size: tuple[int, int]) -> Tensor | None:
        """What a file says of it; None where there is none.

        Args:
            size: height and width of high resolution.

        Raises:
            ImageFileError: it cannot be read, or is of another size.
        """
        path = dict(self.low).get(scale)
        if path is None:
            return None
        low, wanted = decoded(path, self.decoding), (size[0] // scale, size[1] // scale)
        if (low.shape[1], low.shape[2]) != wanted:
            raise ImageFileError(
                f"{path} has {low.shape[2]}x{low.shape[1]} pixels, and of {self.path} at a factor of {scale} it should "
                f"have {wanted[1]}x{wanted[0]}; replace it, or remove its folder: low resolution is then made"
            )
        return low

    def content(self) -> bytes:
        files = [self.path, *(path for _, path in self.low)]
        return "".join(f"{Path(each).parent.name}/{Path(each).name} {_bytes(each)}\n" for each in files).encode()


def decoded(path: str, decoding: Decoding) -> Tensor:
    """uint8, (channels, h, w). Raises ImageFileError."""
    pixels = np.asarray(decode(path, decoding).image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1).copy()).permute(2, 0, 1)


def _bytes(path: str) -> int | str:
    try:
        return Path(path).stat().st_size
    except OSError:
        return "missing"


@dataclass(frozen=True)
class Photographs:
    """Photographs, indexed like a tensor.

    Attributes:
        scale: the factor between the two resolutions.
        patches: cut out of each in an epoch, when they are trained on.
    """

    pictures: tuple[Picture, ...]
    scale: int = 1
    patches: int = 1

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, indices: Tensor | slice) -> Photographs:
        if isinstance(indices, slice):
            return replace(self, pictures=self.pictures[indices])
        return replace(self, pictures=tuple(self.pictures[i] for i in indices.tolist()))

    def pair(self, index: int) -> tuple[Tensor, Tensor]:
        """Low and high resolution of one, see `Picture.pair`."""
        return self.pictures[index].pair(self.scale)

    def smaller_than(self, side: int) -> list[Picture]:
        """Those out of which no square of this side can be cut."""
        return [picture for picture in self.pictures if min(picture.size) // self.scale * self.scale < side]

    def contents(self) -> Iterator[bytes]:
        """For a fingerprint."""
        return (picture.content() for picture in self.pictures)

    @cached_property
    def pixels(self) -> int:
        """Of all of them together."""
        return sum(height * width for height, width in (picture.size for picture in self.pictures))
