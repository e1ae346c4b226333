"""Freed memory of a process is kept for what it allocates next, where glibc would hand it back to the system.

A step allocates and frees the same hundreds of megabytes again and again. By its defaults glibc maps large blocks one
by one and unmaps them when they are freed, and the system clears every page of them anew: a quarter of the processor
time of a training's steps (docs/speed.md).
"""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of mallopt(3), as malloc.h has them."""
NEVER = 2**31 - 1
"""Bytes free at the end of the heap before they are handed back; the largest value that mallopt takes."""
GROWTH = 2**26
"""Bytes by which the heap grows beyond what is asked of it."""


def keep_freed_memory() -> None:
    """For the rest of this process, where its C library is glibc; the numbers are the same without."""
    if platform.libc_ver()[0] == "glibc":
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, GROWTH)):
            ctypes.CDLL(None).mallopt(parameter, value)
