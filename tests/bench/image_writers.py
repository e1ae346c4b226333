"""Image files written byte by byte from arrays, so that what a decoder should give is known without a decoder."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

PNG_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's colour types of grey, grey with alpha, RGB and RGBA by their channels."""


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    path: Path, pixels: np.ndarray, palette: np.ndarray | None = None, more: tuple[tuple[bytes, bytes], ...] = ()
) -> Path:
    """A PNG of uint8 or uint16 pixels, (H, W, C); with a palette, uint8 (K, 3), they are its indices."""
    height, width, channels = pixels.shape
    bits, kind = pixels.dtype.itemsize * 8, 3 if palette is not None else PNG_KINDS[channels]
    lines = pixels.astype(pixels.dtype.newbyteorder(">"))
    raw = b"".join(b"\0" + line.tobytes() for line in lines)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))]
    chunks += [(b"PLTE", palette.tobytes())] if palette is not None else []
    chunks += [*more, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))
    return path


def pnm(path: Path, pixels: np.ndarray, white: int = 255) -> Path:
    """A binary PGM or PPM."""
    height, width, channels = pixels.shape
    content = pixels.astype(">u2" if white > 255 else "u1").tobytes()
    path.write_bytes(f"{'P5' if channels == 1 else 'P6'}\n{width} {height}\n{white}\n".encode() + content)
    return path


def tiff(path: Path, pixels: np.ndarray, photometric: int, sample_format: int = 1, orientation: int = 1) -> Path:
    """An uncompressed little-endian TIFF of one strip; photometric 1 is grey, 2 RGB, 5 CMYK, 8 L*a*b*."""
    height, width, channels = pixels.shape
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    bits = pixels.dtype.itemsize * 8
    entries = [(256, 4, width), (257, 4, height), (259, 3, 1), (262, 3, photometric), (274, 3, orientation),
               (277, 3, channels), (278, 4, height), (279, 4, len(content)), (339, 3, sample_format)]  # fmt: skip
    directory, extra = 8 + len(content), b""
    after = directory + 2 + 12 * (len(entries) + 2) + 4
    if channels > 1:
        extra = struct.pack(f"<{channels}H", *[bits] * channels)
    entries += [(273, 4, 8), (258, 3, bits if channels == 1 else after)]
    table = b""
    for tag, kind, value in sorted(entries):
        count = channels if tag == 258 else 1
        table += struct.pack("<HHII", tag, kind, count, value)
    path.write_bytes(
        b"II*\0" + struct.pack("<I", directory) + content + struct.pack("<H", len(entries)) + table + b"\0" * 4 + extra
    )
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF block that holds nothing but the orientation."""
    exif = b"Exif\0\0" + b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
