"""Fast paths prove themselves: kernels and recorded steps are compared with the plain functions where they first run.

The verdicts lie in `RUNS_DIR/proofs.json` by device, torch, CUDA and Triton, as the CPU's calibration does. A run that
begins on a GPU which has none yet makes them, in a second or two, records what it found, and from then on relies only
on the paths that passed. A path that did not pass is not taken: the plain functions stand in, and one warning names it.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.config import parse
from bench.device import graph
from bench.device.calibration import read_kept
from bench.device.graph import SWITCH, WARM_UP, CudaRecorder, GraphedStep, Recorder
from bench.records.directory import make_folder, write_atomically
from methods.parts.executors import kernels

FILE_NAME = "proofs.json"
RECORDED_STEP = "recorded step"
TOLERANCE = 1e-4
"""Of a replayed step: its kernels are those of the eager one, and only sums without a fixed order may differ."""


class BrokenDeviceError(RuntimeError):
    """A fast path left the device in a state in which this process can do nothing more."""


@dataclass(frozen=True)
class Verdict:
    """Of one fast path on one device.

    Attributes:
        passed: the path may be taken.
        text: the largest difference found, or why the path failed.
        seconds: what the proof took.
    """

    passed: bool
    text: str
    seconds: float


def paths(device: torch.device, precision: str, recorder: Recorder | None) -> dict[str, Callable[[], str | float]]:
    """What a run in this precision would rely on here: by name, a proof that gives a difference or a reason."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    names = () if kernels.why_not() else kernels.NAMES
    found: dict[str, Callable[[], str | float]] = {
        f"{name}, {precision}": partial(_kernel, name, device, dtype) for name in names
    }
    if recorder is not None:
        found[f"{RECORDED_STEP}, {precision}"] = partial(_recorded_step, recorder, device, precision)
    return found


def prove(runs_dir: Path, device: torch.device, precision: str, recorder: Recorder | None = None) -> dict[str, Verdict]:
    """The verdict on every fast path of a run in this precision; made now where `runs_dir` has none.

    Raises:
        BrokenDeviceError: a path broke the device; it has its verdict, and the next start goes without it.
        RecordError: the verdicts cannot be written.
    """
    kernels.refuse(())
    graph.refuse(None)
    if recorder is None and device.type == "cuda" and graph.why_not(device, 1) is None:
        recorder = CudaRecorder(device)
    known, verdicts = find(runs_dir, device), dict[str, Verdict]()
    for name, proof in paths(device, precision, recorder).items():
        verdicts[name] = known[name] if name in known else _judge(proof)
        if name not in known:
            _keep(runs_dir, device, name, verdicts[name])
            _check_alive(device, name, verdicts[name])
    return verdicts


def rely_on(verdicts: Mapping[str, Verdict], where: str) -> None:
    """Take only the paths that passed, in this process; warn once of those that did not.

    Args:
        where: the device and the file of the verdicts, for the warning.
    """
    failed = {name.partition(",")[0]: verdict.text for name, verdict in verdicts.items() if not verdict.passed}
    kernels.refuse(set(failed) & set(kernels.NAMES))
    graph.refuse(failed.get(RECORDED_STEP))
    if failed:
        reasons = "; ".join(f"{name}: {text}" for name, text in failed.items())
        warnings.warn(
            f"not taken on {where}, because they do not compute what the plain functions do ({reasons}). The plain "
            "functions stand in, to the right result but slower; remove the file to try again",
            stacklevel=2,
        )


def for_run(recorded: Any, begun: bool, runs_dir: Path, device: torch.device, precision: str) -> dict[str, Verdict]:
    """The verdicts a run goes by: those it was begun with, whatever has been found since, for its bits depend on them.

    Args:
        recorded: what its record says, or None.
        begun: it has a checkpoint.

    Raises:
        BrokenDeviceError, RecordError: as `prove`.
        ConfigError: the record's verdicts cannot be read.
    """
    if begun and recorded is not None:
        return {
            name: parse(Verdict, entry, f"run.json: environment.fast_paths.{name}") for name, entry in recorded.items()
        }
    return prove(runs_dir, device, precision)


def find(runs_dir: Path, device: torch.device) -> dict[str, Verdict]:
    """The verdicts made earlier on this device; none where there are none, or they cannot be read any more."""
    entries = read_kept(runs_dir / FILE_NAME).get(key(device))
    try:
        return {name: parse(Verdict, entry, FILE_NAME) for name, entry in (entries or {}).items()}
    except (ValueError, AttributeError):
        return {}


def key(device: torch.device) -> str:
    """What the verdicts depend on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    try:
        triton = version("triton")
    except PackageNotFoundError:
        triton = "none"
    return f"{name}, torch {torch.__version__}, CUDA {torch.version.cuda}, triton {triton}"


def _judge(proof: Callable[[], str | float]) -> Verdict:
    started = time.perf_counter()
    try:
        with torch.random.fork_rng(_cuda_devices()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = proof()
    except Exception as error:  # whatever a compiler or a driver raises is the verdict
        found = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    seconds = round(time.perf_counter() - started, 3)
    if isinstance(found, str):
        return Verdict(False, found, seconds)
    return Verdict(True, f"largest relative difference {found:.1e}", seconds)


def _cuda_devices() -> list[int]:
    return [torch.cuda.current_device()] if torch.cuda.is_available() else []


def _kernel(name: str, device: torch.device, dtype: torch.dtype) -> str | float:
    from methods.parts.executors.kernels.proof import TOLERANCE as OF_DTYPE
    from methods.parts.executors.kernels.proof import largest_error

    return _within(largest_error(name, device, dtype), OF_DTYPE[dtype])


def _within(error: float, tolerance: float) -> str | float:
    return error if error <= tolerance else f"differs by {error:.1e} of the largest value, allowed are {tolerance:.0e}"


def _recorded_step(recorder: Recorder, device: torch.device, precision: str) -> str | float:
    """Losses, weights, gradients and running statistics of a small training, replayed beside eager."""
    replayed, wanted = (_train(own, device, precision) for own in (recorder, None))
    if isinstance(replayed, str) or isinstance(wanted, str):
        return f"cannot be recorded: {replayed}"
    pairs = zip(replayed, wanted, strict=True)
    errors = [float((own - other).abs().max() / other.abs().max().clamp(min=1e-30)) for own, other in pairs]
    return _within(max(error if error == error else float("inf") for error in errors), TOLERANCE)


def _train(recorder: Recorder | None, device: torch.device, precision: str) -> list[Tensor] | str:
    """A few steps with everything a search's step has: normalisation, random numbers, momentum, two shapes of batch."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(8 * 64, 4)).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    reasons: list[str] = []

    def update(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        optimizer.zero_grad(set_to_none=False)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
            loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return {"loss_sum": loss.detach()}

    step = GraphedStep(update, recorder, reasons.append)
    losses = []
    for n in range(WARM_UP + 4):
        generator = torch.Generator().manual_seed(n)
        batch = 6 if n != WARM_UP + 2 else 5
        images, labels = torch.randn(batch, 3, 8, 8, generator=generator), torch.arange(batch) % 4
        losses.append(step(images.to(device), labels.to(device))["loss_sum"].clone())
    if reasons:
        return reasons[0]
    state: list[Any] = [*network.state_dict().values(), *(parameter.grad for parameter in network.parameters())]
    step.renew()
    return [value.detach().double() for value in [*losses, *state]]


def _keep(runs_dir: Path, device: torch.device, name: str, verdict: Verdict) -> None:
    make_folder(runs_dir)
    content = read_kept(runs_dir / FILE_NAME)
    entries = content.get(key(device))
    entries = entries if isinstance(entries, dict) else {}
    content[key(device)] = entries | {name: asdict(verdict)}
    write_atomically(runs_dir / FILE_NAME, json.dumps(content, indent=1) + "\n")


def _check_alive(device: torch.device, name: str, verdict: Verdict) -> None:
    if device.type == "cuda" and not verdict.passed:
        try:
            torch.cuda.synchronize(device)
        except RuntimeError as error:
            raise BrokenDeviceError(
                f"the proof of '{name}' broke the device ({verdict.text}); it will not be taken again: start this "
                f"again. {SWITCH}=0 leaves recorded steps out altogether"
            ) from error
