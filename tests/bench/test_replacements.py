"""Killed at the replacement of any file, just before it or just after, in every phase; `dasbench run` goes on.

The runs are forks of this process in place of the queue's own processes: a fork has everything imported. Each of them
counts its calls of `os.replace` and is killed at the chosen one; the same command is then given until all is done.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

import reports
from bench.cli import main
from bench.commands import run as command
from bench.device.engine import environment
from bench.records.directory import RunDirectory, read_records
from bench.run import local
from bench.run.one_run import execute
from reports.analysis import analyse
from tests.bench.conftest import TINY
from tests.bench.test_resume import outcome

BEFORE, AFTER = "before", "after"


def experiment(folder: Path, *rows: str) -> Path:
    """A search and the training of what it finds; with "half" also its pruning and fine-tuning. Two steps an epoch."""
    content = yaml.safe_load(TINY.read_text())
    pruned = {
        "method": "l1_filter_pruning",
        "of": "darts",
        "inheritance": ["finetune"],
        "options": {"ratio": 0.4, "of": "params"},
    }
    every = {"darts": {"method": "darts"}, "half": pruned}
    content["rows"] = {name: every[name] for name in rows}
    tiny = content["profiles"]["tiny"]
    tiny["search_seeds"] = [0]
    tiny["recipe_changes"] |= {"epochs": 2, "batch_size": 48}
    tiny["finetune_changes"] = {"epochs": 1, "batch_size": 48}
    tiny["options"]["darts"] |= {"batch_size": 24}
    path = folder / "kills.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass
class Aim:
    """Kill each run once, at its replacement number `at` (from 0), or never when that is None."""

    at: int | None
    side: str
    folder: Path

    def install(self, run: Path) -> None:
        """In the process of a run."""
        replace, count, killed = os.replace, 0, self.folder / f"{run.name}.killed"
        names = open(self.folder / f"{run.name}.names", "w")  # noqa: SIM115 (this process ends soon)

        def aimed(source: Any, goal: Any, **more: Any) -> None:
            nonlocal count
            if Path(goal).name == "progress.json":  # when it is written depends on the clock
                replace(source, goal, **more)
                return
            hit = count == self.at and not killed.exists()
            count += 1
            if hit:
                killed.write_text(Path(goal).name)
            if hit and self.side == BEFORE:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, goal, **more)
            print(Path(goal).name, file=names, flush=True)
            if hit:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = aimed  # type: ignore[assignment]


def forked(aim: Aim) -> type:
    class Forked:
        """Stands for `subprocess.Popen` in the queue."""

        def __init__(self, words: list[str], **more: Any) -> None:
            path, self.returncode = Path(words[-3]), None
            self.pid = os.fork()
            if self.pid == 0:
                aim.install(path)
                os._exit(execute(path, "cpu"))

        def poll(self) -> int | None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
            return self.returncode

        def send_signal(self, number: int) -> None:
            os.kill(self.pid, number)

    return Forked


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """What every run imports late is imported once here, and inherited by all forks."""
    for name in ("fvcore.nn", "torch.utils.benchmark", "torch.testing", "timm.optim"):
        importlib.import_module(name)


@pytest.fixture
def dasbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Aim], tuple[int, Path]]:
    """`dasbench run` of the experiment into a folder of that name, until all is done; how often, and the folder."""
    monkeypatch.chdir(tmp_path)
    here = environment(torch.device("cpu"), 1)  # once: the code may be edited meanwhile, which the table would note
    monkeypatch.setattr("bench.run.one_run.environment", lambda device, threads: dict(here))
    monkeypatch.setattr("bench.run.loop.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(local, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(command, "print_estimate", lambda *arguments, **more: None)
    monkeypatch.setattr(command, "print_report", lambda folders, out, formats: reports.build(folders, out, ["csv"]))
    words = [
        "run",
        str(tmp_path / "kills.yaml"),
        "--profile",
        "tiny",
        "--no-tracking",
        "--device",
        "cpu",
        "--jobs",
        "1",
        "--runs-dir",
    ]

    def repeat(name: str, aim: Aim) -> tuple[int, Path]:
        aim.folder.mkdir(exist_ok=True)
        monkeypatch.setattr(local, "subprocess", SimpleNamespace(Popen=forked(aim), STDOUT=None))
        for times in range(1, 7):
            if main([*words, str(tmp_path / name)]) == 0:
                return times, tmp_path / name / "kills-tiny"
        raise AssertionError("not done after six attempts")

    return repeat


def whole_of(folder: Path) -> dict[str, Any]:
    """Every run's outcome, and the table without its times."""
    records, problems = read_records(folder)
    assert (problems, {record.info.status for record in records}) == ([], {"done"})
    tables, more = analyse(records)
    assert more == []
    rows = {e.row.name: (e.row.errors, e.row.notes, e.row.metric("test_loss")) for t in tables for e in t.entries}
    return {"rows": rows, **{record.info.name: outcome(record.directory) for record in records}}


def check_clean(folder: Path) -> None:
    """All files say that the runs are done, and nothing is left over."""
    assert {RunDirectory(path).read_info().status for path in folder.iterdir()} == {"done"}
    left = [path for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name.startswith(".probe")]
    assert left == []


def replacements(folder: Path) -> dict[str, list[str]]:
    """The files that each run replaces, in order."""
    return {path.stem: path.read_text().split() for path in sorted(folder.glob("*.names"))}


def kill_at(
    numbers: list[int], rows: list[str], dasbench: Callable[[str, Aim], tuple[int, Path]], tmp_path: Path
) -> list[str]:
    experiment(tmp_path, *rows)
    times, folder = dasbench("whole", Aim(None, BEFORE, tmp_path / "notes"))
    assert times == 1
    whole, names = whole_of(folder), replacements(tmp_path / "notes")
    assert len(names) == 2 * len(rows)
    hit = []
    for number in numbers or range(max(map(len, names.values()))):
        for side in (BEFORE, AFTER):
            aim = Aim(number, side, tmp_path / f"notes-{number}-{side}")
            times, folder = dasbench(f"{number}-{side}", aim)
            killed = {path.stem: path.read_text() for path in aim.folder.glob("*.killed")}
            hit += [f"{side} {name}" for name in killed.values()]
            assert whole_of(folder) == whole, (number, side, killed)
            check_clean(folder)
    return hit


@pytest.mark.slow
def test_killed_around_the_result(dasbench: Callable[[str, Aim], tuple[int, Path]], tmp_path: Path) -> None:
    """The search's is replaced at this number; the training is killed at a checkpoint."""
    hit = kill_at([11], ["darts"], dasbench, tmp_path)
    assert {"before result.json", "after result.json"} <= set(hit)
    assert len(hit) == 4


@pytest.mark.long
def test_killed_around_every_replacement(dasbench: Callable[[str, Aim], tuple[int, Path]], tmp_path: Path) -> None:
    hit = kill_at([], ["darts", "half"], dasbench, tmp_path)
    kinds = {name if not name.split()[1].startswith("epoch") else name.split()[0] + " checkpoint" for name in hit}
    files = ("run.json", "begun.json", "architecture.json", "weights.safetensors", "result.json", "checkpoint")
    assert {f"{side} {name}" for side in (BEFORE, AFTER) for name in files} <= kinds
    print(f"{len(hit)} kills around replacements, all equal: {sorted(kinds)}")
