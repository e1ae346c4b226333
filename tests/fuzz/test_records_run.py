"""`dasbench run`, `report` and `show` on edited records of a finished experiment.

Whatever one file holds: `run` ends with one sentence, starts no other run, and says that all is done only with numbers
that can be; `show` draws the architecture that was found, or says what is wrong with its file.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.commands import run as command
from bench.records.directory import read_records
from bench.run import local, processes
from bench.run.one_run import DONE, execute
from methods.architecture import Architecture
from reports.analysis import analyse
from tests.bench.conftest import TINY
from tests.fuzz.limits import FEW, MANY, at_once
from tests.fuzz.test_records import check_edit


class Copied:
    """Stands for a process of the queue: the run comes out as it was the first time."""

    started: ClassVar[list[str]] = []
    kept: ClassVar[Path] = Path()

    def __init__(self, words: list[str], **more: Any) -> None:
        path, self.returncode = Path(words[-3]), DONE
        self.started.append(path.name)
        shutil.copytree(self.kept / path.name, path, dirs_exist_ok=True)

    def poll(self) -> int:
        return self.returncode


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of random sampling, its training and that of a given cell, done by the harness."""
    folder = tmp_path_factory.mktemp("finished")
    content = yaml.safe_load(TINY.read_text())
    del content["rows"]["darts"], content["profiles"]["tiny"]["options"]
    tiny = content["profiles"]["tiny"]
    tiny["search_seeds"] = [0]
    tiny["data"] = {"train_images": 32, "test_images": 20}
    tiny["recipe_changes"] |= {"epochs": 1}
    (folder / "edited.yaml").write_text(yaml.safe_dump(content))

    class InThisProcess(Copied):
        def __init__(self, words: list[str], **more: Any) -> None:
            self.returncode = execute(Path(words[-3]), "cpu")

    patch = pytest.MonkeyPatch()
    quiet(patch, InThisProcess)
    assert run(folder) == 0
    patch.undo()
    shutil.copytree(folder / "runs", folder / "kept")
    return folder


def quiet(patch: pytest.MonkeyPatch, process: type) -> None:
    """Without processes, estimates, pages, and the checks of what no record has a part in."""
    patch.setattr("bench.run.check.check", lambda planned, data: None)
    patch.setattr(processes, "subprocess", SimpleNamespace(Popen=process, STDOUT=None))
    patch.setenv("DASBENCH_FORK_SERVER", "0")
    patch.setattr(local, "POLL_SECONDS", 0.0)
    patch.setattr(command, "print_estimate", lambda *arguments, **more: None)
    patch.setattr(command, "print_report", lambda *arguments: "")


def run(folder: Path) -> int:
    words = ["run", str(folder / "edited.yaml"), "--no-tracking", "--device", "cpu", "--jobs", "1", "--runs-dir"]
    return main([*words, str(folder / "runs")])


@pytest.fixture
def checks(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Path, Path], None]:
    quiet(monkeypatch, Copied)
    assert main(["show", "DARTS_V2", "--cells", "3", "--channels", "2"]) == 0  # imports take seconds
    monkeypatch.setattr(Copied, "kept", finished / "kept" / "edited-tiny")
    digests = {
        path.name: Architecture.load(path).digest
        for path in Copied.kept.iterdir()
        if (path / "architecture.json").exists()
    }

    def check(folder: Path, edited: Path) -> None:
        Copied.started.clear()
        capsys.readouterr()
        file = edited / "architecture.json"
        if not file.is_file() or file.read_bytes() != (Copied.kept / edited.name / file.name).read_bytes():
            with at_once():
                shown = main(["show", str(edited), "--cells", "3", "--channels", "2"])
            said = capsys.readouterr()
            assert (shown, bool(said.err)) in ((0, False), (2, True))
            assert shown == 2 or digests[edited.name] in said.out
        with at_once():
            code = run(finished)
        said = capsys.readouterr()
        assert code in (0, 1, 2)
        assert "Traceback" not in said.out + said.err
        assert set(Copied.started) <= {edited.name}
        if code == 0:
            check_numbers(folder)
        else:
            assert edited.name in (said.out + said.err).replace("\n", "")

    return check


def check_numbers(folder: Path) -> None:
    """All done: every run is there, and every number of the table can be."""
    records, problems = read_records(folder)
    assert problems == []
    assert [record.info.status for record in records] == ["done"] * 3
    for table in analyse(records)[0]:
        for entry in table.entries:
            for by_seed in entry.row.values.values():
                assert all(0 <= error <= 100 for error in by_seed.values())
            for costs in (record.result["costs"] for record in records if record.result is not None):
                assert all(
                    math.isfinite(value) and value >= 0
                    for value in costs.values()
                    if isinstance(value, int | float) and not isinstance(value, bool)
                )


@given(st.randoms(use_true_random=False))
@settings(FEW, max_examples=15)
def test_run_and_show_of_an_edited_record(
    finished: Path, checks: Callable[[Path, Path], None], chance: random.Random
) -> None:
    check_edit(finished / "runs" / "edited-tiny", chance, checks)


@pytest.mark.long
@given(st.randoms(use_true_random=False))
@MANY
def test_run_and_show_of_many_edited_records(
    finished: Path, checks: Callable[[Path, Path], None], chance: random.Random
) -> None:
    check_edit(finished / "runs" / "edited-tiny", chance, checks)
