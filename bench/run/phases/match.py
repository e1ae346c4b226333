"""The size of another run's architecture, for a search that draws at that size."""

from __future__ import annotations

from typing import Any

from bench.run.phases.context import RunContext
from bench.run.phases.train import chosen_architecture
from methods.architecture import Architecture
from methods.spaces import NetworkSettings, at_scale, get_space
from methods.spaces.base import SizeMatch


def size_to_match(run: RunContext) -> SizeMatch | None:
    """What `match` of a search's configuration comes to; None where there is none.

    Counted in closed form, with the experiment's scale for an architecture that states none.
    """
    wanted = run.config.get("match")
    if wanted is None:
        return None
    architecture, _ = chosen_architecture(run, wanted)
    settings = NetworkSettings(**run.config["network"], in_channels=run.image_shape[0])
    architecture = at_scale(architecture, settings)
    space = get_space(architecture.space)
    counts = space.counts(architecture, run.data.info.outputs, settings, run.data.info.image_size)
    return SizeMatch(
        on=wanted["on"],
        value=getattr(counts, wanted["on"]),
        tolerance=wanted["tolerance"],
        masked=sum(mask.numel() - int(mask.sum()) for mask in architecture.masks.values()),
        scale=dict(space.scale(architecture, settings)),
    )


def said(match: SizeMatch | None, wanted: dict[str, Any] | None, drawn: Architecture) -> dict[str, Any]:
    """What a drawn architecture remembers of the size it was drawn at; nothing without one."""
    if match is None or wanted is None:
        return {}
    achieved = drawn.provenance["sizes"][match.on]
    return {
        "match": {
            "of": wanted.get("run") or wanted.get("published"),
            "on": match.on,
            "target": match.value,
            "achieved": achieved,
            "below": 1.0 - achieved / match.value,
            "tolerance": match.tolerance,
            "masked_weights": match.masked,
        }
    }
