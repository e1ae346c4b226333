"""What the search loop and the training loop share: epochs and steps that survive being killed at any point.

`Loop` counts epochs and steps, sums what the steps return on the device, checks for divergence, writes progress,
metrics and checkpoints, and after a restart continues at the step of the newest checkpoint with the same bits.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from bench.config import seconds_of
from bench.device.engine import Engine
from bench.records.atomic import write_whole
from bench.records.checkpoint import load_newest_checkpoint, save_checkpoint
from bench.records.directory import RunDirectory
from bench.records.repair import resume_metrics
from bench.run.stop import InterruptedRunError, StopFlag
from bench.seeds import derive, random_state, restore_random_state, seed_everything
from methods.tasks import CLASSIFICATION, Task

PROGRESS_SECONDS = 2.0
CHECKPOINT_SECONDS = seconds_of("DASBENCH_CHECKPOINT_SECONDS", 60, least=0)
"""Longest time between two checkpoints: what a SIGKILL can cost. Signals that can be caught cost nothing."""

B = TypeVar("B")


class DivergenceError(RuntimeError):
    """The loss is no longer a finite number."""


class Stateful(Protocol):
    """Anything with state that a continued run needs."""

    def state_dict(self) -> Any: ...
    def load_state_dict(self, state: Any) -> Any: ...


class Loop:
    """The epochs and steps of one run.

    Args:
        directory: where metrics, progress and checkpoints go.
        signature: of the run; a checkpoint of another one is refused.
        seed: seeds the global generators at the start of every epoch, together with the epoch's number.
        parts: everything whose state a continued run needs, by name.
        task: says what the sums of its steps come to.

    Attributes:
        lines: the lines of metrics.jsonl. They are part of the state: the file beside them is for readers, and what it
            has lost is written anew from here.
    """

    def __init__(
        self,
        directory: RunDirectory,
        signature: str,
        seed: int,
        engine: Engine,
        parts: Mapping[str, Stateful],
        stop: StopFlag | None = None,
        task: Task = CLASSIFICATION,
    ) -> None:
        self.directory, self.signature, self.seed, self.engine = directory, signature, seed, engine
        self.parts, self.stop, self.group, self.task = parts, stop or StopFlag(), engine.group, task
        self.epoch = self.step = self.images = 0
        self.total_epochs = self.total_steps = 0
        self.sums: dict[str, Tensor] = {}
        self.lines: list[str] = []
        self.earlier_seconds, self.earlier_peak = 0.0, 0
        self.started = self.last_progress = self.last_checkpoint = time.monotonic()
        engine.reset_peak_memory()
        self._resume()
        self.attempt_start = (self.images, time.monotonic())

    # -- time and memory, over all attempts of this run

    @property
    def wall_seconds(self) -> float:
        return self.earlier_seconds + time.monotonic() - self.started

    @property
    def device_seconds(self) -> float:
        return self.wall_seconds * self.group.size

    @property
    def peak_memory(self) -> int:
        return max(self.earlier_peak, self.engine.peak_memory())

    @property
    def epoch_values(self) -> list[dict[str, Any]]:
        """The values of every finished epoch, in order."""
        return [json.loads(line)["values"] for line in self.lines]

    # -- epochs and steps

    def epochs(self, total: int, finished: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Epoch numbers from where the run stands; the body must end with `end_epoch`."""
        self.total_epochs = total
        while self.epoch < total and not finished():
            if self.step == 0:
                seed_everything(derive(seed=self.seed, epoch=self.epoch))
                self.sums = {}
            current = self.epoch
            yield current
            if self.epoch == current:
                raise RuntimeError("the body of an epoch must call end_epoch")

    def steps(self, batches: Iterable[B], total: int) -> Iterator[B]:
        """The batches of this epoch, already those from `self.step` on; between two, the stop flag is looked at."""
        self.total_steps = total
        for batch in batches:
            yield batch
            self.step += 1
            self._between_steps()

    def add(self, sums: Mapping[str, Tensor]) -> None:
        """Add this process's part of a step's sums: 0-d device tensors, `loss_sum` and `count` among them; no
        synchronisation. They are copied: a replayed step returns the same memory every time."""
        for name, value in sums.items():
            value = value.detach().to(torch.float64, copy=True)
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def averages(self, prefix: str = "train/") -> dict[str, float]:
        """Loss and metric of the epoch so far over all processes; the host waits for the device here.

        Raises:
            DivergenceError: the loss is NaN or infinite.
        """
        self._gather_sums()
        return self._averages(self.group.from_first(self._host_sums()), prefix)

    def _host_sums(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.sums.items()}

    def _gather_sums(self) -> None:
        """Bring the sums of all processes to the first; adding them all up still gives the same."""
        if not self.group.alone:
            totals = self.group.totals(self.sums)
            self.sums = totals if self.group.rank == 0 else {n: torch.zeros_like(v) for n, v in totals.items()}

    def _averages(self, host: Mapping[str, float], prefix: str = "train/") -> dict[str, float]:
        result: dict[str, float] = {}
        for part, stem in ((prefix, ""), ("valid/", "valid_")):
            sums = {name.removeprefix(stem): value for name, value in host.items() if name.startswith(stem)}
            if sums.get("count"):
                result |= {f"{part}{name}": value for name, value in self.task.values(sums).items()}
        self.check_finite(result)
        return result

    def check_finite(self, values: Mapping[str, Any]) -> None:
        """Raises DivergenceError when a loss or a metric is NaN or infinite; a method's own values may be."""
        for name, value in values.items():
            common = name.startswith(("train/", "valid/", "test/")) and isinstance(value, float)
            if common and not math.isfinite(value):
                raise DivergenceError(
                    f"{name} became {value} in epoch {self.epoch}, at or before step {self.step}: the training has "
                    "diverged. Lower the learning rate or the batch size, or use precision fp32; the run directory "
                    f"{self.directory.path} keeps the last checkpoints"
                )

    def end_epoch(self, values: Mapping[str, Any]) -> None:
        """Record the epoch and move to the next; checkpoint if the last one is old or this was the last epoch."""
        self.images += int(self.sums["count"]) if "count" in self.sums else 0
        self.images += int(self.sums["valid_count"]) if "valid_count" in self.sums else 0
        self.check_finite(values)
        values = {**values, "images_per_second": self._images_per_second()}
        self.lines.append(
            self.directory.append_metrics(self.epoch, self.step, values, self.wall_seconds, self.device_seconds)
        )
        self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
        last = self.epoch >= self.total_epochs
        stop, due = self._agree()
        if stop or last or due:
            self.checkpoint()
        self._write_progress(values)
        if stop and not last:
            raise InterruptedRunError(self.stop.reason or "another process of this run")

    def _agree(self) -> tuple[bool, ...]:
        """Whether any process was asked to stop, and whether a checkpoint is due; the same answer in all."""
        return self.group.agree(bool(self.stop.reason), time.monotonic() - self.last_checkpoint >= CHECKPOINT_SECONDS)

    def checkpoint(self) -> None:
        """Write the complete state of this moment; all processes call it, the first writes."""
        self._gather_sums()
        self.last_checkpoint = time.monotonic()
        if self.group.rank:
            return
        self.directory.may_write()
        self.directory.settle_metrics()
        state = {
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "random": random_state(),
            "sums": dict(self.sums),
            "metrics": list(self.lines),
            "images": self.images,
            "seconds": self.wall_seconds,
            "peak": self.peak_memory,
        }
        save_checkpoint(self.directory.checkpoints, self.epoch, self.step, self.signature, state)
        self.last_checkpoint = time.monotonic()

    def _resume(self) -> None:
        checkpoint = load_newest_checkpoint(self.directory.checkpoints, self.signature)
        if checkpoint is None:
            self.directory.write_metrics([])
            return
        state = checkpoint["state"]
        self.lines = resume_metrics(self.directory, checkpoint["epoch"], state.get("metrics"))
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.epoch, self.step = checkpoint["epoch"], checkpoint["step"]
        first = float(self.group.rank == 0)
        self.sums = {name: value.to(self.engine.device) * first for name, value in state["sums"].items()}
        self.images, self.earlier_seconds, self.earlier_peak = state["images"], state["seconds"], state["peak"]
        restore_random_state(state["random"])

    def _between_steps(self) -> None:
        stop, due = self._agree()
        if stop:
            self.checkpoint()
            raise InterruptedRunError(self.stop.reason or "another process of this run")
        if time.monotonic() - self.last_progress >= PROGRESS_SECONDS:
            self._write_progress(self._averages(self._host_sums()))
        if due:
            self.checkpoint()

    def _images_per_second(self) -> float:
        images = self.images - self.attempt_start[0]
        if "count" in self.sums and self.step:
            images += int(self.sums["count"])
        return images / max(time.monotonic() - self.attempt_start[1], 1e-9)

    def _write_progress(self, values: Mapping[str, Any]) -> None:
        """A heartbeat for people and for `dasbench status`; best effort, never part of the record."""
        self.last_progress = time.monotonic()
        if self.group.rank:
            return
        within = self.step / self.total_steps if self.total_steps else 0.0
        done = (self.epoch + within) / max(self.total_epochs, 1)
        content = {
            "epoch": self.epoch,
            "epochs": self.total_epochs,
            "step": self.step,
            "steps": self.total_steps,
            "loss": values.get("train/loss"),
            self.task.metric.key: values.get(f"train/{self.task.metric.key}"),
            "images_per_second": self._images_per_second(),
            "seconds_left": self.wall_seconds * (1 - done) / done if done > 0 else None,
            "time": time.time(),
            "pid": os.getpid(),
            "host": platform.node(),
        }
        with contextlib.suppress(OSError):
            write_whole(self.directory.path / "progress.json", json.dumps(content).encode())
