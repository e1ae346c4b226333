"""A package that may be missing: fvcore is no longer maintained, so whoever counts with it asks here first."""

from __future__ import annotations

import warnings


def fvcore_obstacle() -> str | None:
    """Why fvcore cannot count here, in one sentence; None where it can. Nothing but its own count depends on it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # fvcore still uses torch.jit.script
            import fvcore.nn  # noqa: F401
    except Exception as error:  # not there, or too old for this Python, torch or NumPy, each with an error of its own
        return (
            f"fvcore cannot be imported ({type(error).__name__}: {error}): its count stays empty, all others are made"
        )
    return None
