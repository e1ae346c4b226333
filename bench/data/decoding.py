"""From an image file of any kind to 8-bit pixels, by stated rules (docs/data.md, "How files are decoded").

Grey and palette images become RGB, CMYK is converted without a colour profile, transparency lets white through, of 16
bits the high eight count, and of several frames the first. What has no defined white (floating point, 32 bits) or no
defined conversion is refused.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from methods.domain import within

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # what is too large is refused, see below
ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_ANIMATED = ("GIF", "TIFF", "WEBP", "PNG", "AVIF")
FULL_SCALE = 65535


class ImageFileError(RuntimeError):
    """An image file that cannot be decoded."""


@dataclass(frozen=True)
class Decoding:
    """How files become pixels.

    Attributes:
        channels: 3 for RGB, 1 for grey (luma as ITU-R 601-2 weighs it).
        upright: turn an image as its EXIF orientation says. Published ImageNet pipelines do not.
        white: the value of a 16-bit pixel that is white; below 65535 for sensors of fewer bits.
    """

    channels: int = 3
    upright: bool = True
    white: int = field(default=FULL_SCALE, metadata=within("[255, 65535]"))


PUBLISHED = Decoding(upright=False)
"""As ImageNet pipelines decode."""


@dataclass(frozen=True)
class Decoded:
    """Pixels of mode "RGB" or "L", and what the file was.

    Attributes:
        mode: Pillow's name of the kind of pixels in the file.
        rotated: the file's orientation was not upright.
        largest: the largest value of a 16-bit grey image, else 0.
    """

    image: Image.Image
    mode: str
    rotated: bool
    largest: int


def decode(path: str | Path, rules: Decoding) -> Decoded:
    """Decode a file as a whole.

    Raises:
        ImageFileError: it is missing, damaged, too large, or of a kind that has no defined 8-bit pixels; with its name.
    """
    try:
        with Image.open(path) as file:
            file.load()
            mode, turn = file.mode, _orientation(file) if rules.upright else None
            largest = int(np.asarray(file).max()) if mode.startswith("I;16") else 0
            image = _eight_bits(file, rules)
    except Exception as error:  # every format fails in its own way: OSError, SyntaxError, ValueError, struct.error, ...
        raise ImageFileError(f"cannot decode {path}: {_reason(error)}; replace the file or remove it") from error
    return Decoded(image if turn is None else image.transpose(turn), mode, turn is not None, largest)


def has_frames(path: str | Path) -> bool:
    """Whether a file holds several images, of which the first is taken; a photo's embedded previews do not count."""
    with Image.open(path) as file:
        return file.format in _ANIMATED and bool(getattr(file, "is_animated", False))


def is_image(path: str | Path) -> bool:
    """Whether the beginning of a file is that of an image, whatever it is called."""
    try:
        with Image.open(path):
            return True
    except Exception:
        return False


def _orientation(file: Image.Image) -> Image.Transpose | None:
    """How to turn it; a damaged EXIF block counts as none."""
    try:
        return _UPRIGHT.get(file.getexif().get(ORIENTATION, 1))
    except Exception:
        return None


def _eight_bits(file: Image.Image, rules: Decoding) -> Image.Image:
    image = file
    if file.mode.startswith("I;16"):
        image = _high_bits(np.asarray(file), rules.white)
    elif file.mode == "I" and file.format == "PPM":  # the format names its own white, which Pillow makes 65535
        image = _high_bits(np.asarray(file), FULL_SCALE)
    elif file.mode in ("I", "F"):
        kind = "floating-point" if file.mode == "F" else "32-bit or signed"
        raise ImageFileError(f"{kind} pixels have no defined white; convert it to 8 or 16 bits")
    if image.mode in _ALPHA or "transparency" in image.info:
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
    return image.convert("RGB" if rules.channels == 3 else "L")


def _high_bits(pixels: np.ndarray, white: int) -> Image.Image:
    scaled = pixels.astype(np.int64) * 256 // (white + 1)
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8))


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more pixels than are decoded ({str(error).partition(',')[0]})"
    return str(error) or type(error).__name__
