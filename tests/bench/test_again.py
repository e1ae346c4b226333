"""`dasbench run` asked twice: the second time it looks whether anything changed, and if nothing did, does nothing."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import reports
from bench.cli import build_parser, main
from bench.commands import again
from tests import many_runs

SAME = "nothing has changed since"


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a RUNS_DIR in which everything is done and reported."""
    working = tmp_path_factory.mktemp("reported")
    many_runs.write(working / "runs", searches=1, retrains=1, epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(working)
        folder = Path("runs") / "demo-quick"
        reports.build([folder], again.report_folder(folder), ["html"])
    return working


@pytest.fixture
def done(reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of its own, noted as `dasbench run` does at its end."""
    shutil.copytree(reported, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "demo-quick"
    again.note(options_of(tmp_path / "runs"), folder, "the table", again.records_digest(folder))
    return tmp_path / "runs"


def words(runs_dir: Path, *more: str) -> list[str]:
    seeds = ("--search-seeds", "0", "--retrain-seeds", "0", "--no-tracking")
    return ["run", "demo", "--profile", "quick", "--runs-dir", str(runs_dir), *seeds, *more]


def options_of(runs_dir: Path, *more: str) -> argparse.Namespace:
    return build_parser().parse_args(words(runs_dir, *more))


def test_the_second_time_gives_the_same_table_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    many_runs.write(tmp_path / "runs", searches=1, retrains=1, epochs=2)
    assert main(words(tmp_path / "runs")) == 0
    first = capsys.readouterr().out
    code = f"import sys; from bench.cli import main; assert main({words(tmp_path / 'runs')!r}) == 0"
    code += "; sys.exit('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, SAME in ran.stdout) == (0, True), ran.stderr
    assert ran.stdout[ran.stdout.index("digits, profile") :] == first[first.index("digits, profile") :]


def edit_a_result(runs_dir: Path) -> None:
    path = next(runs_dir.glob("demo-quick/train-darts-*/result.json"))
    found = json.loads(path.read_text())
    found["metrics"] |= {"test_error": 50.0, "test_accuracy": 50.0}
    kept = path.stat()
    path.write_text(json.dumps(found))
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # an edit that hides its time is seen all the same


def lose_an_epoch(runs_dir: Path) -> None:
    path = next(runs_dir.glob("demo-quick/search-darts-*/metrics.jsonl"))
    path.write_text(path.read_text().splitlines()[0] + "\n")


def remove_a_run(runs_dir: Path) -> None:
    folder = next(runs_dir.glob("demo-quick/train-DARTS_V2-r*"))
    folder.rename(runs_dir / "elsewhere")


def touch_the_report(runs_dir: Path) -> None:
    (runs_dir.parent / "report" / "demo-quick" / "index.html").unlink()


@pytest.mark.parametrize("change", [edit_a_result, lose_an_epoch, remove_a_run, touch_the_report])
def test_whatever_changed_is_looked_at(done: Path, change: Callable[[Path], None]) -> None:
    options = options_of(done)
    assert again.before(options) is not None
    change(done)
    assert again.before(options) is None


def test_another_question_is_another_question(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert again.before(options_of(done)) is not None
    assert again.before(options_of(done, "--methods", "darts")) is None
    assert again.before(options_of(done, "--dry-run")) is None
    monkeypatch.setenv("DATA_ROOT", "/elsewhere")
    assert again.before(options_of(done)) is None
