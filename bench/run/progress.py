"""What a person sees while runs go on: a live table in a terminal, plain lines in a log."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from bench.names import printable
from methods.tasks import CLASSIFICATION, task_of

if TYPE_CHECKING:
    from bench.run.jobs import Job
    from bench.run.local import Queue

LINE_SECONDS = 30.0
MOST = 1e15
"""No number of a heartbeat is larger; what is was not written by a run."""
STYLE = {"done": "green", "failed": "red", "blocked": "red", "running": "cyan", "interrupted": "yellow"}


def duration(seconds: float | None) -> str:
    """Seconds as 45 s, 3 min 20 s, 2 h 5 min; empty for None."""
    if seconds is None:
        return ""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def read_progress(path: Path) -> dict[str, float]:
    """The last heartbeat of a run directory, what is a number of it; empty before the first, or when it is damaged."""
    try:
        content = json.loads((path / "progress.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: value for name, value in content.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def has_epochs(now: Mapping[str, Any]) -> bool:
    """Whether a heartbeat tells which epoch of how many it is."""
    return bool(now.get("epochs")) and "epoch" in now


def run_title(job: Job) -> str:
    """A run's row and seeds, as a person would say them."""
    info = job.info
    tuned = " (fine-tuned)" if info.inheritance == "finetune" else ""
    seeds = [f"s{info.search_seed}"] if info.search_seed is not None else []
    seeds += [f"r{info.retrain_seed}"] if info.retrain_seed is not None else []
    seeds += [f"p{info.proposal}"] if info.proposal is not None else []
    return f"{info.phase} {info.label}{tuned} {' '.join(seeds)}"


def cells(job: Job) -> list[str]:
    """Epoch, loss, the task's metric, images a second, time left of a running job."""
    if job.state != "running":
        return ["", "", "", "", ""]
    now = read_progress(job.directory.path)
    if not has_epochs(now):
        return ["starting", "", "", "", ""]

    def number(key: str, digits: int) -> str:
        return f"{now[key]:.{digits}f}" if now.get(key) is not None else ""

    metric = task_of(job.info.config).metric
    epoch = f"{min(now['epoch'] + 1, now['epochs']):.0f}/{now['epochs']:.0f}"
    return [
        epoch,
        number("loss", 3),
        number(metric.key, 1 if metric.unit == "%" else metric.digits),
        number("images_per_second", 0),
        duration(now.get("seconds_left")),
    ]


class LiveTable:
    """A table of the runs that are going on, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self.live = Live(console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> LiveTable:
        self.live.__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        self.live.__exit__(*reason)

    def update(self, queue: Queue) -> None:
        states = [job.state for job in queue.jobs]
        title = f"{states.count('done')} of {len(states)} runs done" + (", stopping" if queue.stopping else "")
        table = Table(title=title, title_justify="left")
        metric = task_of(queue.jobs[0].info.config).metric if queue.jobs else CLASSIFICATION.metric
        for name in ("run", "state", "epoch", "loss", metric.named, "images/s", "left"):
            table.add_column(name, justify="left" if name in ("run", "state") else "right", no_wrap=True)
        for job in queue.jobs:
            if job.state not in ("done", "waiting"):
                style = STYLE.get(job.state, "")
                table.add_row(escape(printable(run_title(job))), f"[{style}]{job.state}[/]", *cells(job))
        self.live.update(table)


class PlainLines:
    """One line when a run changes its state, and every half minute one for each that is running."""

    def __init__(self, console: Console) -> None:
        self.console, self.states = console, dict[str, str]()
        self.last = time.monotonic()

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *reason: Any) -> None:
        return None

    def update(self, queue: Queue) -> None:
        heartbeat = time.monotonic() - self.last >= LINE_SECONDS
        self.last = time.monotonic() if heartbeat else self.last
        done = sum(job.state == "done" for job in queue.jobs)
        for job in queue.jobs:
            changed = self.states.get(job.info.signature, "waiting") != job.state
            self.states[job.info.signature] = job.state
            if (changed and job.state != "running") or (heartbeat and job.state == "running"):
                names = ("epoch", "loss", task_of(job.info.config).metric.name, "images/s", "left")
                facts = ", ".join(f"{name} {value}" for name, value in zip(names, cells(job), strict=True) if value)
                taken = f" after {duration(time.monotonic() - job.started)}" if changed and job.started else ""
                self.console.print(
                    f"[{done}/{len(queue.jobs)}] {run_title(job)}: {job.state}{taken}{' ' + facts if facts else ''}",
                    highlight=False,
                    markup=False,
                )


def display(console: Console) -> LiveTable | PlainLines:
    return LiveTable(console) if console.is_terminal else PlainLines(console)
