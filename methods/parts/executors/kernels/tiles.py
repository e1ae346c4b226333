"""How a kernel that goes through pixels one by one divides them among its programs.

A tile is IMAGES images times PIXELS neighbouring pixels of one channel. Both are the same for every size of image, and
sizes are arguments of a kernel, not constants of it: one compiled kernel serves all resolutions, widths and batches, so
that a search compiles a few dozen kernels, once, and what was proved is what runs.
"""

from __future__ import annotations

import triton
import triton.language as tl

PIXELS = 64


def tiles(batch: int, pixels: int, block: int) -> int:
    """Number of tiles of `block` values that cover one channel of a batch."""
    return triton.cdiv(batch, block // PIXELS) * triton.cdiv(pixels, PIXELS)


@triton.jit
def tile(part, batch, pixels, IMAGES: tl.constexpr, PIXELS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Image (IMAGES, 1), pixel (1, PIXELS) and whether both exist (IMAGES, PIXELS), of the tile number `part`."""
    across = tl.cdiv(pixels, PIXELS)
    image = (part // across) * IMAGES + tl.arange(0, IMAGES)[:, None]
    pixel = (part % across) * PIXELS + tl.arange(0, PIXELS)[None, :]
    return image, pixel, (image < batch) & (pixel < pixels)
