"""The command line as a newcomer meets it: help, mistakes, and one whole small experiment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.cli import build_parser, main, seeds
from tests.bench.conftest import TINY

COMMANDS = {"run", "launch", "status", "cancel", "report", "sync", "show", "export", "speed", "list", "doctor"}


def test_the_surface() -> None:
    actions = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert set(actions) == COMMANDS  # type: ignore[arg-type]
    assert seeds("0-2,5") == [0, 1, 2, 5]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "cifar1"], "did you mean 'cifar10'"),
        (["run", "cifar10"], "choose one with --profile: quick, short, paper"),
        (["run", "cifar10", "--profile", "papr"], "did you mean 'paper'"),
        (["run", "cifar10", "--profile", "quick", "--methods", "dart"], "did you mean 'darts'"),
        (["run", "demo", "--device", "cuda:77"], "is not there"),
        (["run", "demo", "--device", "gpu"], "unknown device"),
        (["run", "demo", "--search-seeds", "x"], "not a seed"),
        (["runn"], "invalid choice"),
        (["report", "demo"], "no runs"),
    ],
)
def test_mistakes_end_with_one_message(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = [*arguments, "--runs-dir", str(tmp_path)] if len(arguments) > 1 else arguments
    try:
        code = main(where)
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == 2
    message = capsys.readouterr().err
    assert words in message.replace("\n", " ")
    assert "Traceback" not in message


def test_missing_data_names_the_file_and_the_alternative(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("DASBENCH_DOWNLOAD", "0")
    assert main(["run", "cifar10", "--profile", "quick", "--runs-dir", str(tmp_path / "runs")]) == 2
    message = capsys.readouterr().err
    for word in ("data_batch_1", "c99cafc152244af753f735de768cd75f", str(tmp_path), "make demo"):
        assert word in message
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root can write to read-only folders")
def test_a_read_only_runs_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert main(["run", "demo", "--runs-dir", str(tmp_path / "runs")]) == 2
    assert "set RUNS_DIR" in capsys.readouterr().err


def test_a_runs_folder_that_is_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    assert main(["run", "demo", "--runs-dir", str(tmp_path / "runs")]) == 2
    assert "set RUNS_DIR" in capsys.readouterr().err


@pytest.mark.slow
def test_a_whole_experiment_and_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["run", str(TINY), "--runs-dir", str(tmp_path / "runs"), "--search-seeds", "0", "--device", "cpu"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    for word in ("darts", "random", "DARTS_V2", "tiny", "MLflow is up to date", "Report:"):
        assert word in said
    assert (tmp_path / "runs" / "mlflow.db").exists()
    assert list((tmp_path / "report").rglob("*.csv"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs" / "tiny-tiny").rglob("result.json")}
    assert len(before) == 5
    assert main(arguments) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
