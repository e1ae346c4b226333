"""What a search starts from that another row has: an architecture, or a trained network."""

from __future__ import annotations

from typing import Any

from safetensors.torch import load_file

from bench.records.inputs import found_family, verified_file
from bench.records.run_info import RunInfo
from bench.records.weights import WEIGHTS_NAME
from bench.run.phases.context import RunContext
from bench.run.phases.train import chosen_architecture
from methods.architecture import Architecture
from methods.base import Start
from methods.parts.counts import AUXILIARY_HEAD
from methods.spaces import NetworkSettings, at_scale, build


def start_of(run: RunContext) -> Start | None:
    """What `start` of a search's configuration comes to, verified; None where there is none.

    Raises:
        RunError: the run that it is from is not done, or found another architecture than was planned with.
        RecordError: a file of that run is missing or has changed.
    """
    wanted = run.config.get("start")
    if wanted is None:
        return None
    architecture, _ = chosen_architecture(run, wanted)
    settings = NetworkSettings(**run.config["network"], in_channels=run.image_shape[0])
    architecture = at_scale(architecture, settings)
    if not wanted.get("weights"):
        return Start(architecture, settings, family=_family(run, wanted, settings))
    trained = load_file(verified_file(run.needed(wanted["run"]), WEIGHTS_NAME))
    weights = {name: each for name, each in trained.items() if not name.startswith(f"{AUXILIARY_HEAD}.")}
    return Start(architecture, settings, weights)


def _family(run: RunContext, wanted: dict[str, Any], settings: NetworkSettings) -> list[Architecture]:
    """All architectures of the search that is started from, where it gives several and its row selects none."""
    if "run" not in wanted or wanted["select"] is not None:
        return []
    source = run.needed(wanted["run"])
    several = (source.result or {}).get("family")
    return [at_scale(member, settings) for member in found_family(source)] if several else []


def imagined_start(info: RunInfo, architecture: Architecture | None, classes: int, in_channels: int) -> Start | None:
    """Stands in for what a search starts from before that is there: a network of an architecture with drawn weights."""
    wanted: dict[str, Any] | None = info.config.get("start")
    if wanted is None or architecture is None:
        return None
    settings = NetworkSettings(**info.config["network"], in_channels=in_channels)
    architecture = at_scale(architecture, settings)
    if not wanted.get("weights"):
        return Start(architecture, settings)
    return Start(architecture, settings, build(architecture, classes, settings).state_dict())
