"""What `dasbench status` shows, once or until everything has ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bench.names import printable
from bench.records.directory import sharing
from slurm.status import Status, status, table
from slurm.witness import Answer, Tracker

WATCH_SECONDS = 5.0


def show_status(console: Console, folders: Sequence[Path], tracker: Tracker, watch: bool = False) -> int:
    """Print how the runs stand; exit code 1 when one has failed or is lost."""
    now = [status(folder) for folder in folders]
    tracker.ask(now)
    if watch and console.is_terminal:
        now = _watch(console, now, tracker)
    else:
        console.print(table(now))
        for line in _lines(now, Answer()):
            console.print(line, soft_wrap=True)
        for line in _lines([], tracker.wait()):
            console.print(line, soft_wrap=True)
    return int(any(one.count("failed") or one.count("lost") for one in now))


def _watch(console: Console, now: list[Status], tracker: Tracker) -> list[Status]:
    """Look again and again until nothing goes on any more; returns what was seen last."""
    with Live(table(now), console=console, auto_refresh=False) as live:
        quiet = 0 if _goes_on(now) else 2
        while quiet < 2:  # between two runs of a local queue nothing is running for a moment
            live.update(Group(table(now), *_lines(now, tracker.answer())), refresh=True)
            time.sleep(WATCH_SECONDS)
            now = [status(one.folder) for one in now]
            quiet = 0 if _goes_on(now) else quiet + 1
            tracker.ask_again(now)
        tracker.ask(now)
        live.update(Group(table(now), *_lines(now, tracker.wait())), refresh=True)
    return now


def _lines(now: Sequence[Status], answer: Answer) -> list[Text]:
    """Below the table: who is silent, what cannot be read, and what MLflow lacks."""
    lines = [Text(printable(problem), style="yellow") for one in now for problem in one.problems]
    lines += [Text(printable(text)) for one in now for text in sharing(run.record.info for run in one.runs)]
    return lines + [Text(answer.text, style="" if answer.good else "yellow")] * bool(answer.text)


def _goes_on(now: Sequence[Status]) -> bool:
    return any(run.queued or run.state in ("running", "unknown") for one in now for run in one.runs)
