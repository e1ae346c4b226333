"""Every command where nothing can be written: records on a file system that takes nothing, or is full."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.cli import main
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory
from bench.run.one_run import DONE, execute
from tests.bench.conftest import TINY
from tests.bench.test_import import V2
from tests.reports.synthetic import KINDS, experiment
from tests.slurm.small_disks import close, fill, mounted

pytestmark = pytest.mark.slow

RUN = ["run", str(TINY), "--device", "cpu", "--jobs", "1", "--no-tracking", "--methods"]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Invented runs of another experiment."""
    folder = tmp_path_factory.mktemp("records")
    experiment(folder, KINDS[:2], searches=2, retrains=1, epochs=2, name="invented", profile="quick")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny experiment, with one training that is done."""
    torch.set_num_threads(1)
    (info,) = plan(load_experiment(str(TINY)), "tiny", ["DARTS_V2"], [0])
    directory = RunDirectory(tmp_path_factory.mktemp("trained") / "tiny-tiny" / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == DONE
    return directory.path.parent


@pytest.fixture(params=["takes nothing", "is full"])
def disk(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    records: Path,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A file system with records that are all done, in `runs`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with mounted(tmp_path / "disk", "8m") as path:
        shutil.copytree(records, path / "runs")
        shutil.copytree(trained, path / "runs" / "tiny-tiny")
        if request.param == "takes nothing":
            close(path)
        else:
            fill(path / "filler")
        yield path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The code of a command, and its one error."""
    capsys.readouterr()
    code = main(list(words))
    told = capsys.readouterr()
    assert "raceback" not in told.out + told.err
    assert told.err.count("\n") <= 1, told.err
    return code, told.err.strip()


def test_what_is_done_can_be_looked_at(disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written for it beside the records: states, tables, lists, architectures, and a run that is done."""
    runs = str(disk / "runs")
    before = sorted(disk.rglob("*"))
    for words in (["status"], ["list", "runs"], ["report", "--formats", "csv"], [*RUN, "DARTS_V2"]):
        assert said(capsys, *words, "--runs-dir", runs) == (0, ""), words
    assert (tmp_path / "report" / "tiny-tiny").is_dir()
    assert sorted(disk.rglob("*")) == before


def test_what_has_to_be_written_is_named_and_nothing_is_lost(
    disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, place = str(disk / "runs"), str(disk)
    files = {path: path.read_bytes() for path in (disk / "runs").rglob("*") if path.is_file()}
    asked = {
        f"{runs}/tiny-tiny/search-random-s0": [*RUN, "random", "--runs-dir", runs],
        f"{place}/new": [*RUN, "random", "--runs-dir", f"{place}/new"],
        f"cannot write the report to {place}/out": ["report", "--runs-dir", runs, "--out", f"{place}/out"],
        f"cannot write {place}/out": ["import", V2, "--name", "v2", "--out", f"{place}/out"],
        f"{runs}/mlflow.db": ["sync", "--runs-dir", runs],
    }
    for text, words in asked.items():
        code, error = said(capsys, *words)
        assert code == 2, (words, error)
        assert text in error
        assert any(why in error for why in ("Read-only file system", "No space left on device", "disk is full")), error
    assert {path: path.read_bytes() for path in files} == files


def test_records_that_can_only_be_read_are_mirrored(
    disk: Path, empty_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With drawings, into a store elsewhere; of which the second time nothing is new."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    words = ["sync", "tiny", "--runs-dir", str(disk / "runs"), "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    assert main(words) == 0
    assert "1 runs new, 0 updated" in capsys.readouterr().out
    assert [path.name for path in tmp_path.rglob("artifacts/architecture.svg")] == ["architecture.svg"]
    assert main(words) == 0
    assert "0 runs new, 0 updated, 1 unchanged" in capsys.readouterr().out
