"""A fitted file: predictors of one data set with their errors, from which a search takes its cost.

Safetensors: loading it executes nothing. The weights are named `KIND.NAME`; what they are, and under what conditions
the networks were measured, is JSON in its header.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from bench.latency.conditions import Conditions, LatencyError, read_conditions, sized_by_settings
from bench.latency.fit import Fit
from bench.records.atomic import write_durably
from methods.parts.costs.counts import Built
from methods.parts.costs.encodings import Way
from methods.parts.costs.fitted import FittedCost, restored
from methods.spaces.relaxation import Relaxation

SUFFIX = ".fitted.safetensors"
FOLDER = "latency"
"""In RUNS_DIR."""


def fitted_path(data: Path) -> Path:
    """Where what is fitted to a data set lies: beside it."""
    return data.with_name(data.name.removesuffix(".jsonl") + SUFFIX)


def save_fit(fit: Fit, path: Path) -> None:
    """Raises LatencyError if it cannot be written."""
    tensors = {
        f"{kind}.{name}": tensor.contiguous().cpu()
        for kind, each in fit.fitted.items()
        for name, tensor in each.predictor.state_dict().items()
    }
    header = {"conditions": json.dumps(dict(fit.data.document)), "fit": json.dumps(fit.document())}
    try:
        write_durably(path, save(tensors, header))
    except OSError as error:
        raise LatencyError(f"cannot write {path}: {error.strerror}; choose another folder") from None


def read_header(path: Path) -> tuple[Conditions, dict[str, Any]]:
    """Conditions and errors of a fitted file. Raises LatencyError for what is none."""
    conditions, fit, _ = _read(path, ())
    return conditions, fit


def load_cost(
    path: Path,
    space: str,
    kind: str | None = None,
    *,
    device: str | None = None,
    network: Built | None = None,
    way: Way = "soft",
    relaxed: Relaxation | None = None,
) -> FittedCost:
    """The latency that a fitted file predicts, as a cost.

    Args:
        space: of the architectures that it is asked for.
        kind: of predictor; None for the best one by held-out error, and never one that beat no baseline.
        device: that it must have been measured on: as its file says, or a part of that.
        network: the size, images and classes that the measured networks must have had.
        way: how gates are encoded (`methods.parts.costs.encodings`).
        relaxed: what the gates are of, where an architecture is derived by another rule than the space's.

    Raises:
        LatencyError: no fitted file, of another space, device or size, or no predictor in it that is worth using.
        MethodError: the predictors do not fit this version of the space.
    """
    conditions, fit, tensors = _read(path, None)
    refuse_other(path, conditions, space, device, network)
    chosen = kind if kind is not None else fit["best"]
    if chosen is None:
        raise LatencyError(
            f"no predictor of {path} beats a constant on networks it was not fitted to; measure more networks "
            "(`dasbench measure-latency --count`), or name one all the same: " + ", ".join(fit["kinds"])
        )
    if chosen not in fit["kinds"]:
        reason = fit["remarks"].get(chosen, "it was not fitted")
        raise LatencyError(f"{path} has no predictor '{chosen}' ({reason}); it has: {', '.join(fit['kinds'])}")
    own = {name.removeprefix(f"{chosen}."): each for name, each in tensors.items() if name.startswith(f"{chosen}.")}
    unit = f"{conditions.unit}, predicted: {chosen}"
    return restored(chosen, space, own, unit, told(conditions, fit, chosen), way, relaxed)


def told(conditions: Conditions, fit: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What the record of a search says of the predictor that it used."""
    found = fit["kinds"][kind]
    return {
        "predictor": kind, "unit": conditions.unit, "held_out_error": found["errors"]["mean"], "beats": found["beats"],
        "constant_error": fit["constant"]["mean"],
        "table_error": fit["kinds"].get("table", {}).get("errors", {}).get("mean"),
        "repeat_error": (fit["repeat"] or {}).get("mean"), "fitted_on": fit["fitted_on"],
    }  # fmt: skip


def refuse_other(
    path: Path, conditions: Conditions, space: str, device: str | None = None, network: Built | None = None
) -> None:
    """Raises LatencyError for a file of another space, device, size of networks, images or classes."""
    if conditions.space != space:
        raise LatencyError(f"{path} has latencies of {conditions.space}, not of {space}")
    if device is not None and not is_device(conditions, device):
        raise LatencyError(
            f"{path} was measured on {conditions.device} ({conditions.device_type}), not on '{device}'; measure there, "
            "or name the file of that device"
        )
    wrong = [] if network is None else _otherwise_built(conditions, space, network)
    if wrong:
        raise LatencyError(f"{path} was measured with networks of another size: {', '.join(wrong)}")


def _otherwise_built(conditions: Conditions, space: str, network: Built) -> list[str]:
    """What differs, in the words of `dasbench measure-latency`."""
    settings = conditions.settings
    sized = ["cells", "channels", "stem"] if not settings.scales and sized_by_settings(space) else []
    one, other = asdict(settings), asdict(network.settings)
    pairs = [(key, one[key], other[key]) for key in sized]
    pairs.append(("image channels", settings.in_channels, network.settings.in_channels))
    pairs.append(("image size", conditions.image_size, network.image_size))
    pairs.append(("classes", conditions.classes, network.num_classes))
    wrong = [f"{words} {measured} instead of {asked}" for words, measured, asked in pairs if measured != asked]
    scale = dict(network.settings.scales.get(space, {}))
    return wrong + (
        [f"scale {conditions.scale or 'of the space'} instead of {scale}"] if scale != conditions.scale else []
    )


def is_device(conditions: Conditions, device: str) -> bool:
    """Whether a name means the measured device: its type, or its name, or a part of it that no letter breaks off."""
    asked, name = device.lower().strip(), conditions.device.lower()
    return asked == conditions.device_type or asked == name or f" {asked} " in f" {name} "


def find_fitted(runs_dir: Path, space: str, device: str | None = None, network: Built | None = None) -> Path:
    """The fitted file of a space and device in RUNS_DIR/latency, or `device` itself where that is the path of one.

    Raises:
        LatencyError: none, or several, of which one has to be named; with what there is.
    """
    if device is not None and device.endswith(SUFFIX):
        return Path(device)
    there = sorted((runs_dir / FOLDER).glob(f"*{SUFFIX}"))
    fitting, others = [], []
    for path in there:
        try:
            refuse_other(path, read_header(path)[0], space, device, network)
            fitting.append(path)
        except LatencyError as error:
            others.append(str(error))
    if len(fitting) == 1:
        return fitting[0]
    what = f"of {space}" + (f" on '{device}'" if device else "")
    if fitting:
        names = ", ".join(path.name for path in fitting)
        raise LatencyError(f"several latencies {what}: {names}; name one by its path, ending in {SUFFIX}")
    said = f" There: {'; '.join(others)}." if others else ""
    raise LatencyError(
        f"no latency {what} in {runs_dir / FOLDER}.{said} `dasbench measure-latency {space}` on that machine makes one"
    )


def _read(path: Path, only: Iterable[str] | None) -> tuple[Conditions, dict[str, Any], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            document, fit = json.loads(header["conditions"]), json.loads(header["fit"])
            tensors = {name: file.get_tensor(name) for name in (file.keys() if only is None else only)}
    except FileNotFoundError:
        raise LatencyError(f"there is no fitted latency {path}; `dasbench measure-latency` makes one") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise LatencyError(f"{path} is no fitted latency ({type(error).__name__}: {error})") from None
    if not isinstance(fit, dict) or not isinstance(fit.get("kinds"), dict):
        raise LatencyError(f"{path} is no fitted latency: its header says nothing of predictors")
    return read_conditions(document, str(path)), fit, tensors
