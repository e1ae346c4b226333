"""Killed at the replacement of any file, just before it or just after, in every phase; `dasbench run` goes on.

The runs are forks of this process in place of the queue's own processes: a fork has everything imported. Each of them
counts its calls of `os.replace` and is killed at the chosen one; the same command is then given until all is done.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Iterator
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
from bench.run import local, processes
from bench.run.one_run import execute
from reports.analysis import analyse
from reports.lookups.formats import to_text
from reports.lookups.rows import lookup_rows
from reports.lookups.tables import lookup_tables
from tests.bench.conftest import TINY
from tests.bench.test_resume import TIMES, outcome

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


def batches(folder: Path) -> Path:
    """Two batches of six seeds each that a table scores."""
    content = yaml.safe_load((TINY.parent / "lookup.yaml").read_text())
    content["rows"] = {name: content["rows"][name] for name in ("search", "evolution")}
    content["lookup"]["datasets"] = ["cifar10"]
    del content["profiles"]["tiny"]["evaluation"]
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


@dataclass
class Command:
    """`dasbench run` of one experiment, as often as it takes, into folders side by side."""

    folder: Path
    patch: pytest.MonkeyPatch

    def until_done(self, name: str, aim: Aim) -> tuple[int, Path]:
        """How often the command was given, and the folder of the records."""
        aim.folder.mkdir(exist_ok=True)
        self.patch.setattr(processes, "subprocess", SimpleNamespace(Popen=forked(aim), STDOUT=None))
        words = ["run", str(self.folder / "kills.yaml"), "--profile", "tiny", "--no-tracking", "--device", "cpu"]
        for times in range(1, 7):
            if main([*words, "--jobs", "1", "--runs-dir", str(self.folder / name)]) == 0:
                return times, self.folder / name / "kills-tiny"
        raise AssertionError("not done after six attempts")


@dataclass
class Whole:
    """What comes out when nothing is killed, and the files that each run replaces, in order."""

    command: Command
    read: Callable[[Path], dict[str, Any]]
    outcome: dict[str, Any]
    files: dict[str, list[str]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Whole]]:
    """The experiment of some rows, done once for all kills."""
    patch, made = pytest.MonkeyPatch(), dict[tuple[str, ...], Whole]()
    patch.chdir(tmp_path_factory.mktemp("reports"))
    here = environment(torch.device("cpu"), 1)  # once: the code may be edited meanwhile, which the table would note
    patch.setattr("bench.run.one_run.environment", lambda device, threads: dict(here))
    patch.setattr("bench.run.loop.CHECKPOINT_SECONDS", 0.0)
    patch.setattr("bench.run.phases.lines.CHECKPOINT_SECONDS", 0.0)
    patch.setattr("bench.run.check.check", lambda planned, data: None)  # writes nothing, takes a second each time
    patch.setenv("DASBENCH_FORK_SERVER", "0")
    patch.setattr(local, "POLL_SECONDS", 0.01)
    patch.setattr(command, "print_estimate", lambda *arguments, **more: None)
    patch.setattr(command, "print_report", lambda folders, out, formats: reports.build(folders, out, ["csv"]).table)

    def make(*rows: str) -> Whole:
        if rows not in made:
            own = Command(tmp_path_factory.mktemp("kills"), patch)
            read = batches_of if rows == BATCHES else whole_of
            batches(own.folder) if rows == BATCHES else experiment(own.folder, *rows)
            aim = Aim(None, BEFORE, own.folder / "notes")
            times, folder = own.until_done("whole", aim)
            files = {path.stem: path.read_text().split() for path in sorted(aim.folder.glob("*.names"))}
            assert (times, len(files)) == (1, 2 * len(rows))
            made[rows] = Whole(own, read, read(folder), files)
        return made[rows]

    yield make
    patch.undo()


def whole_of(folder: Path) -> dict[str, Any]:
    """Every run's outcome, and the table without its times."""
    records, problems = read_records(folder)
    assert (problems, {record.info.status for record in records}) == ([], {"done"})
    tables, more = analyse(records)
    assert more == []
    rows = {e.row.name: (e.row.values, e.row.notes, e.row.measured("test_loss")) for t in tables for e in t.entries}
    return {"rows": rows, **{record.info.name: outcome(record.directory) for record in records}}


BATCHES = ("batches",)
"""In place of rows."""


def batches_of(folder: Path) -> dict[str, Any]:
    """The seeds and the result of every batch, without times, and the tables."""
    records, problems = read_records(folder)
    assert (problems, {record.info.status for record in records}) == ([], {"done"})
    rows, wrong = lookup_rows(records)
    assert wrong == []
    found: dict[str, Any] = {"tables": [to_text(table) for table in lookup_tables(rows)]}
    for record in records:
        assert record.result is not None
        costs = {name: value for name, value in record.result["costs"].items() if name not in TIMES}
        seeds = (record.path / "seeds.jsonl").read_bytes()  # the result has the digest of this file, too
        found[record.info.name] = seeds, record.result | {"costs": costs, "run": None}
    return found


def check_clean(folder: Path) -> None:
    """All files say that the runs are done, and nothing is left over."""
    assert {RunDirectory(path).read_info().status for path in folder.iterdir()} == {"done"}
    left = [path for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name.startswith(".probe")]
    assert left == []


def kill_at(number: int, side: str, whole: Whole) -> list[str]:
    """The files at whose replacement runs were killed; everything else comes out as if none had been."""
    aim = Aim(number, side, whole.command.folder / f"notes-{number}-{side}")
    _, folder = whole.command.until_done(f"{number}-{side}", aim)
    killed = {path.stem: path.read_text() for path in aim.folder.glob("*.killed")}
    assert killed == {run: names[number] for run, names in whole.files.items() if number < len(names)}
    assert whole.read(folder) == whole.outcome, (number, side, killed)
    check_clean(folder)
    return list(killed.values())


@pytest.mark.slow
@pytest.mark.parametrize("side", [BEFORE, pytest.param(AFTER, marks=pytest.mark.long)])
def test_killed_around_the_result(side: str, whole: Callable[..., Whole]) -> None:
    """The search's is replaced at this number; the training is killed at a checkpoint."""
    killed = kill_at(11, side, whole("darts"))
    assert "result.json" in killed
    assert len(killed) == 2


EVERY = 17
"""Replacements of the run that has most."""


@pytest.mark.long
@pytest.mark.parametrize("side", [BEFORE, AFTER])
@pytest.mark.parametrize("number", range(EVERY))
def test_killed_around_every_replacement(number: int, side: str, whole: Callable[..., Whole]) -> None:
    assert kill_at(number, side, whole("darts", "half"))


@pytest.mark.long
def test_every_replacement_has_its_turn(whole: Callable[..., Whole]) -> None:
    files = whole("darts", "half").files
    assert max(map(len, files.values())) == EVERY
    names = {name for run in files.values() for name in run}
    expected = {"run.json", "begun.json", "architecture.json", "weights.safetensors", "result.json"}
    assert expected <= names
    assert any(name.startswith("epoch-") for name in names)


SEEDS = range(13)
"""Replacements of a batch of six seeds: its state, a checkpoint a seed and the last again, its seeds, its result."""


OFTEN = ((5, BEFORE), (10, AFTER))


@pytest.mark.parametrize(
    ("number", "side"),
    [
        pytest.param(number, side, marks=() if (number, side) in OFTEN else pytest.mark.long)
        for number in SEEDS
        for side in (BEFORE, AFTER)
    ],
)
def test_a_batch_killed_around_a_replacement(number: int, side: str, whole: Callable[..., Whole]) -> None:
    files = whole(*BATCHES).files
    assert {len(names) for names in files.values()} == {len(SEEDS)}
    assert all({"seeds.jsonl", "result.json"} <= set(names) for names in files.values())
    kill_at(number, side, whole(*BATCHES))
