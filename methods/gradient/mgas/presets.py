"""The settings of MG-DARTS' two releases of its search code, each as one named set of options.

A preset fills in what an experiment does not say itself: `options: {preset: released-2025-07-01, channels: 24}`. It is
the release to the letter, `compat: official` and all training images for the search included; what a comparison wants
otherwise (`compat: fixed`, a validation part, a target of its own) is said beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEVER = 1_000_000
"""More operations than there are: a commit that removes so many does not happen."""

_BOTH: Mapping[str, Any] = {
    "compat": "official",
    "batch_size": 96,
    "targets": (0.1,),
    "target_on": "size",
    "valid_fraction": 0.0,
    "autoaugment_policy": "released",
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # lxy12357/MG_DARTS, commit 7f55d7e. In stages lambda only grows; the final phase starts with one and grows it by
    # doubled steps; thresholds are never reset; stages narrow after each of their commits.
    "released-2025-03-18": {
        **_BOTH,
        "channels": 44,
        "cells": 14,
        "stage_ratios": (0.5, 0.4, 0.3),
        "lambda_grow": (4.0, 4.0, 4.0, 2.0),
        "lambda_few": 24,
        "lambda_many": (NEVER, NEVER, NEVER, 24),
        "lambda_start": (0.0, 0.0, 0.0, 1e-4),
        "reset_thresholds": False,
        "narrow_in_stages": True,
    },
    # Commit 4dc7571, unchanged to the present head (758f6f9).
    "released-2025-07-01": {**_BOTH, "channels": 16, "cells": 8, "stage_ratios": (0.3,)},
}
