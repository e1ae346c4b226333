"""How a step is run: device, precision, determinism, threads. The loops and the methods know none of it."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.device.distributed import ALONE, Group
from bench.device.graph import CudaRecorder, GraphedStep, Recorder, why_not
from bench.device.host_memory import keep_freed_memory
from methods.parts.cpu_choices import DEFAULT_CHOICES, CpuChoices, choose, chosen
from methods.parts.executors.protocol import branches_on_host


class DeviceError(RuntimeError):
    """A device or precision that was asked for and is not there."""


@dataclass(frozen=True)
class Engine:
    """Where and how precisely to compute.

    Attributes:
        device: the torch device of this process.
        precision: "fp32", or "bf16" for autocast in the forward pass (weights and updates stay fp32).
        deterministic: same machine type and versions give the same bits; cuDNN autotuning and TF32 are off, and
            torch warns of an operation that has no deterministic implementation on the device.
        group: the processes that share the run.
        recorder: records steps as CUDA graphs; None runs them one kernel at a time.
        remark: told, by a key, what the record of the run should say about how it was computed.
    """

    device: torch.device
    precision: str = "fp32"
    deterministic: bool = True
    group: Group = ALONE
    recorder: Recorder | None = None
    remark: Callable[[str, str], None] = lambda key, text: None

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Mixed precision around a step; nothing in fp32.

        Casts of weights are not kept from one forward pass to the next: an unrolled step changes the weights between
        two of them.
        """
        if self.precision == "fp32":
            yield
        else:
            with torch.autocast(self.device.type, dtype=torch.bfloat16, cache_enabled=False):
                yield

    @property
    def memory_format(self) -> torch.memory_format:
        """Of discrete networks and their images: channels-last for tensor cores; on a CPU the chosen one."""
        if self.device.type == "cpu":
            return chosen().torch_format
        return torch.channels_last if self.precision == "bf16" else torch.contiguous_format

    def graphed(self, step: Callable[..., dict[str, torch.Tensor]], network: nn.Module | None = None) -> GraphedStep:
        """The step, run as a CUDA graph where this engine records and the network that it trains allows it."""
        return GraphedStep(step, self.recorder_of(network), lambda reason: self.remark("cuda_graph", f"off: {reason}"))

    def recorder_of(self, network: nn.Module | None) -> Recorder | None:
        """What records the steps of a network; None where it decides on the host what to run, with a remark."""
        if self.recorder is None or network is None or not branches_on_host(network):
            return self.recorder
        self.remark("cuda_graph", "off: each step decides on the host which paths it runs")
        return None

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def reset_peak_memory(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_memory(self) -> int:
        """Bytes. GPU: largest memory allocated by tensors. CPU: largest resident set of this process."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        return largest_resident_set()


def largest_resident_set() -> int:
    """Bytes that this program held at most.

    From /proc where it tells: what `getrusage` says begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def choose_device(name: str) -> torch.device:
    """The device for "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        DeviceError: it is not there. Nothing is substituted.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"unknown device '{name}'; valid: auto, cpu, cuda, cuda:0, cuda:1, ...") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"device '{name}' is not there: torch {torch.__version__} sees {torch.cuda.device_count()} GPUs; "
            "use --device cpu, or check the driver with `dasbench doctor`"
        )
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device '{name}' is not supported; valid: auto, cpu, cuda, cuda:0, ...")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def make_engine(
    device: torch.device,
    precision: str,
    deterministic: bool,
    threads: int,
    group: Group = ALONE,
    choices: CpuChoices = DEFAULT_CHOICES,
    remark: Callable[[str, str], None] = lambda key, text: None,
) -> Engine:
    """Set torch's global switches for one run, and what it does on a CPU, and return its engine.

    Raises:
        DeviceError: the device cannot compute in the precision.
    """
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError(f"{torch.cuda.get_device_name(device)} has no bf16; use a profile with precision fp32")
    torch.set_num_threads(threads)
    if device.type == "cpu":
        keep_freed_memory()
    choose(choices)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Not `use_deterministic_algorithms`, which imports the compiler: a second of every run.
    torch.set_deterministic_debug_mode("warn" if deterministic else "default")
    # A debugging aid of deterministic mode that writes every new buffer twice.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.allow_tf32 = not deterministic
    torch.backends.cuda.matmul.allow_tf32 = not deterministic
    recorder = None
    if device.type == "cuda":
        torch.cuda.set_device(device)
        obstacle = why_not(device, group.size)
        recorder = None if obstacle else CudaRecorder(device)
        remark("cuda_graph", f"off: {obstacle}" if obstacle else "on")
    return Engine(device, precision, deterministic, group, recorder, remark)


def emulated(device: torch.device, precision: str) -> str | None:
    """What to say where the device computes in the precision, but not by itself; None where it does."""
    if precision == "fp32" or device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return (
        f"{precision} is slow on this processor: without AVX-512 oneDNN has none, and torch's convolutions take "
        "several times longer than in fp32; the profile is meant for a GPU"
    )


def device_name(device: torch.device) -> str:
    """The hardware's name, e.g. "NVIDIA H200" or the processor's model."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor_name()


@cache
def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@cache
def code_commit() -> tuple[str | None, bool | None]:
    """The code's commit and whether the tree differs from it; None outside a repository."""
    recorded = os.environ.get("DASBENCH_COMMIT")
    if recorded:
        return recorded.removesuffix("+dirty"), recorded.endswith("+dirty")
    root = Path(__file__).parents[2]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD") if (root / ".git").exists() else None
    status = git("status", "--porcelain") if commit else None
    return commit, None if status is None else bool(status)


def environment(device: torch.device, threads: int) -> dict[str, Any]:
    """Where a run was made: what goes into run.json beside the configuration."""
    commit, dirty = code_commit()
    gpu = device.type == "cuda"
    return {
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": torch.backends.cudnn.version() if gpu else None,
        "device": device_name(device),
        "device_type": device.type,
        "slot": str(device),
        "host": platform.node(),
        "threads": threads,
        "command": os.environ.get("DASBENCH_COMMAND") or " ".join(sys.argv),
    }
