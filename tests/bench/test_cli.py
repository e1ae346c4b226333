"""The command line as a newcomer meets it: help, mistakes, and one whole small experiment."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import build_parser, main
from bench.commands.arguments import seeds
from bench.commands.show import looked_up
from methods.architecture import Architecture
from methods.genotypes import published
from tests.bench.conftest import TINY

COMMANDS = {
    "run",
    "launch",
    "status",
    "cancel",
    "report",
    "sync",
    "show",
    "import",
    "export",
    "pack",
    "unpack",
    "speed",
    "list",
    "doctor",
    "measure-latency",
    "fit-latency",
}


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
        (["status", "demo", "--prfile", "quick"], "did you mean '--profile'? Try 'dasbench status --help'."),
        (["report", "demo", "--profile"], "Try 'dasbench report --help'."),
        (["show", "DARTS_V2", "again"], "unknown argument 'again'"),
        (["report", "demo"], "no runs in"),
        (["pack", "packed", "--piece-size", "15X"], "'15X' is not a size like 15M"),
        (["unpack", "nowhere"], "no manifest.json in nowhere: give the folder that `dasbench pack` made"),
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
    assert main(["run", str(TINY), "--methods", "random", "--runs-dir", str(tmp_path / "runs")]) == 2
    assert "set RUNS_DIR" in capsys.readouterr().err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], str]:
    """The working folder of a whole experiment, its command line, and what was printed."""
    folder = tmp_path_factory.mktemp("finished")
    arguments = ["run", str(TINY), "--runs-dir", str(folder / "runs"), "--search-seeds", "0", "--device", "cpu"]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.chdir(folder)
        assert main(arguments) == 0
    return folder, arguments, said.getvalue()


@pytest.mark.slow
def test_a_whole_experiment_and_again(
    finished: tuple[Path, list[str], str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, arguments, said = finished
    monkeypatch.chdir(folder)
    for word in ("darts", "random", "DARTS_V2", "tiny", "MLflow is up to date", "Report:"):
        assert word in said
    assert (folder / "runs" / "mlflow.db").exists()
    assert list((folder / "report").rglob("*.csv"))
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs" / "tiny-tiny").rglob("result.json")}
    assert len(before) == 5
    assert main(arguments) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.slow
def test_models_and_the_report_are_in_mlflow(
    finished: tuple[Path, list[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import torch

    from bench.run.export import trained_network

    folder, *_ = finished
    monkeypatch.chdir(folder)
    runs = folder / "runs"
    assert main(["sync", "--models", "--runs-dir", str(runs)]) == 0
    client = mlflow.MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'tiny'")
    found = client.search_runs([experiment.experiment_id])
    parent = next(run for run in found if run.data.tags["phase"] == "all")
    child = next(run for run in found if run.data.tags["phase"] == "train")
    attached = {item.path for item in client.list_artifacts(parent.info.run_id, "report")}
    assert "report/index.html" in attached
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{runs / 'mlflow.db'}")
    model = f"runs:/{child.info.run_id}/model"
    loaded = mlflow.pytorch.load_model(model)
    network, shape = trained_network(runs / "tiny-tiny" / Path(child.data.tags["run_directory"]).name)
    images = torch.randn(3, *shape)
    torch.testing.assert_close(loaded(images), network(images), atol=1e-5, rtol=1e-4)
    assert mlflow.models.get_model_info(model).signature.inputs.inputs[0].shape == (-1, *shape)


def test_every_expected_error_is_known_by_its_name() -> None:
    import importlib

    from bench.cli import EXPECTED, is_expected

    for name in EXPECTED:
        module, _, cls = name.rpartition(".")
        error = getattr(importlib.import_module(module), cls)
        assert f"{error.__module__}.{error.__qualname__}" == name
        assert is_expected(error("x"))
    assert not is_expected(ValueError("x"))


def test_an_error_nobody_expected_is_one_line_and_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(options: object) -> int:
        raise ZeroDivisionError("a\x1b[31m\nb")

    monkeypatch.setattr("bench.commands.show.run", broken)
    assert main(["show", "DARTS_V2"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "dasbench show: ZeroDivisionError: a\\x1b[31m\\nb; the traceback is in " in said
    assert "Traceback" in Path(said.partition("traceback is in ")[2].partition(",")[0]).read_text()
    with pytest.raises(ZeroDivisionError):
        main(["show", "DARTS_V2", "--debug"])


def test_a_character_that_no_terminal_has_is_shown_as_python_writes_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.commands.show.run", lambda options: print("half a \ud800 character") or 0)
    assert main(["show", "DARTS_V2"]) == 0
    assert capsys.readouterr().out == "half a \\ud800 character\n"


def test_an_environment_that_is_no_number(tmp_path: Path) -> None:
    import subprocess
    import sys

    environment = {**os.environ, "DASBENCH_LEASE_SECONDS": "abc", "RUNS_DIR": str(tmp_path)}
    code = "import sys; from bench.cli import main; sys.exit(main(['status', 'demo']))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "dasbench status: the environment variable DASBENCH_LEASE_SECONDS is 'abc'; it must be"
    )
    assert done.stderr.count("\n") == 1


def test_show_says_what_the_tables_hold() -> None:
    """The best cell of NAS-Bench-201 on CIFAR-10; a network of another size is not the table's."""
    text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    best = Architecture("nasbench201", {"cell": text})
    heading, cifar10, *others = looked_up(best)
    assert heading.startswith("network 6,111 of table nasbench201 (0 to 15,624)")
    assert cifar10.split()[:4] == ["cifar10", "validation", "84.38", "(12),"]
    assert "test 94.37 (200)" in cifar10
    assert len(others) == 2
    (refused,) = looked_up(replace(best, scale={"channels": 8, "cells_per_stage": 5}))
    assert "nasbench201" in refused
    assert list(looked_up(published("DARTS_V2"))) == []
