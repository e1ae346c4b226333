"""Checks of the machine, each one line: what is there, what is not, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from bench.data.datasets import DataError, load
from bench.device import calibration, proofs
from bench.device.cpu_alternatives import FORMATS, best, depthwise_ms, sums_name, time_name, total_ms
from bench.device.graph import why_not
from bench.device.packages import fvcore_obstacle
from methods.parts.cpu_choices import DEPTHWISE_CLASSES
from methods.parts.executors import kernels

PACKAGES = ("torch", "torchvision", "timm", "pandas", "seaborn", "mlflow", "submitit", "scikit-learn")
FREE_GIB = 2


@dataclass(frozen=True)
class Check:
    """One finding; `needed` when nothing can run without it."""

    name: str
    good: bool
    text: str
    needed: bool = False


def checks(runs_dir: Path) -> Iterator[Check]:
    """Python, packages, devices, data sets, the runs folder, SLURM."""
    good = sys.version_info >= (3, 11)
    yield Check("python", good, sys.version.split()[0] + ("" if good else "; 3.11 or newer is needed"), needed=True)
    for package in PACKAGES:
        try:
            yield Check(package, True, version(package), needed=True)
        except PackageNotFoundError:
            yield Check(package, False, "not installed; run `make install`", needed=True)
    obstacle = fvcore_obstacle()
    yield Check("fvcore", obstacle is None, obstacle or version("fvcore"))
    yield _gpu()
    obstacle = kernels.why_not()
    yield Check("own kernels", not obstacle, obstacle or f"Triton {version('triton')}")
    obstacle = why_not(torch.device("cuda" if torch.cuda.is_available() else "cpu"), processes=1)
    yield Check("cuda graphs", not obstacle, obstacle or "steps are recorded and replayed")
    yield from _proofs(runs_dir)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check("cpu", True, f"{cores} cores; one run a core at the profiles' one thread")
    yield from _calibrations(runs_dir, cores or 1)
    root = os.environ.get("DATA_ROOT")
    for name in ("digits", "cifar10", "cifar100"):
        try:
            data = load(name, root, download=False)
            yield Check(f"data {name}", True, f"{len(data.train)} training images")
        except DataError as error:
            yield Check(f"data {name}", False, str(error), needed=name == "digits")
    yield _runs_folder(runs_dir)
    sbatch = shutil.which("sbatch")
    yield Check("slurm", bool(sbatch), sbatch or "no sbatch here; experiments run locally with `dasbench run`")


def _gpu() -> Check:
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Check("gpu", True, f"{', '.join(names)}; CUDA {torch.version.cuda}")
    built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built for the CPU only"
    return Check("gpu", False, f"none found ({built}); runs use the CPU")


def _proofs(runs_dir: Path) -> Iterator[Check]:
    """What was found when the fast paths were compared with the plain functions on this GPU."""
    if not torch.cuda.is_available():
        return
    found = proofs.find(runs_dir, torch.device("cuda", 0))
    if not found:
        yield Check("fast paths", True, f"not yet proven on this GPU in {runs_dir}; the next run on it does it")
    for name, verdict in found.items():
        yield Check(f"proof of {name}", verdict.passed, f"{verdict.text}, in {verdict.seconds:.1f} s")


def _calibrations(runs_dir: Path, cores: int) -> Iterator[Check]:
    """What was chosen for runs on this CPU, and the times of each choice beside those of its alternative."""
    if os.environ.get(calibration.SWITCH) == "0":
        yield Check("calibration", True, f"{calibration.SWITCH}=0: new runs take the default choices")
        return
    found = {threads: calibration.find(runs_dir, threads) for threads in range(1, cores + 1)}
    if not any(found.values()):
        yield Check("calibration", True, f"none for this CPU in {runs_dir}; the next `dasbench run` on it makes one")
    for threads, known in found.items():
        if known is not None:
            yield Check("calibration", True, f"threads {threads}: {_choices_and_times(known)}")


def _choices_and_times(found: calibration.Calibration) -> str:
    choices, times = found.choices, found.times_ms
    form = choices.memory_format
    totals = (f"{name} {total_ms(times, best(times, name)):.1f} ms" for name in FORMATS)
    parts = []
    for work in DEPTHWISE_CLASSES:
        native = work in choices.native
        taken, left = (depthwise_ms(times, choices, work, own) for own in (native, not native))
        looped = choices.compiled and work[1] == 1
        parts.append(f"{time_name(form, work, native, looped)} {taken:.2f} ms, else {left:.2f}")
    ways = [(sums_name(form, way), times.get(sums_name(form, way))) for way in (choices.compiled, not choices.compiled)]
    parts.append("; ".join(f"{name} {took:.2f} ms" for name, took in ways if took is not None))
    return f"{form} of {', '.join(totals)}; {'; '.join(parts)}"


def _runs_folder(runs_dir: Path) -> Check:
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=runs_dir):
            free = shutil.disk_usage(runs_dir).free / 2**30
    except OSError as error:
        return Check(
            "runs folder", False, f"{runs_dir}: {error.strerror}; set RUNS_DIR to one you can write", needed=True
        )
    enough = free > FREE_GIB
    text = f"{runs_dir}, {free:.1f} GiB free" + ("" if enough else f"; less than {FREE_GIB} GiB")
    return Check("runs folder", enough, text)
