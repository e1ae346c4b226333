"""One source of truth: a valid result makes a run done; what lies beside it is brought in line, from checked state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.checkpoint import list_checkpoints, load_newest_checkpoint, save_checkpoint
from bench.records.directory import RunDirectory, read_record, read_records
from bench.run.loop import DivergenceError
from bench.run.one_run import DONE, FAILED, INTERRUPTED, execute
from bench.run.search import check_weights
from tests.bench.conftest import TINY
from tests.bench.test_resume import StopAfter, outcome


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished training."""
    torch.set_num_threads(1)
    (info,) = plan(load_experiment(str(TINY)), "tiny", ["DARTS_V2"])
    directory = RunDirectory(tmp_path_factory.mktemp("whole") / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == DONE
    return directory


@pytest.fixture
def done(whole: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(whole.path, tmp_path / whole.path.name)))


def set_back(directory: RunDirectory, status: str) -> None:
    """As a copy that was made earlier, or a kill just behind the result, leaves it."""
    info = directory.read_info()
    info.status, info.finished, info.error = status, None, "KeyError: old" if status == "failed" else None
    directory.write_info(info)


@pytest.mark.parametrize(
    "harm",
    [
        lambda directory: set_back(directory, "running"),
        lambda directory: set_back(directory, "interrupted"),
        lambda directory: set_back(directory, "failed"),
        lambda directory: (directory.path / "run.json").unlink(),
        lambda directory: (directory.path / "run.json").write_bytes(b"\xff{"),
    ],
)
def test_a_result_makes_a_run_done(done: RunDirectory, harm: Callable[[RunDirectory], object]) -> None:
    before = (done.path / "run.json").read_bytes()
    harm(done)
    (record,), problems = read_records(done.path.parent)
    assert (record.info.status, record.info.error, problems) == ("done", None, [])
    assert record.result is not None
    assert execute(done.path, "cpu") == DONE
    assert (done.path / "run.json").read_bytes() == before


def test_without_a_result_nothing_is_done(done: RunDirectory) -> None:
    (done.path / "result.json").unlink()
    assert read_record(done.path).info.status == "interrupted"


def cut(directory: RunDirectory, lines: int, more: str = "") -> None:
    path = directory.path / "metrics.jsonl"
    kept = path.read_text().splitlines(keepends=True)[:lines]
    path.write_text("".join(kept) + more)


@pytest.mark.parametrize(("lines", "more"), [(3, "{"), (2, '{"epoch": 2, "va'), (1, ""), (0, "")])
def test_metrics_of_a_finished_run_are_written_anew(done: RunDirectory, lines: int, more: str) -> None:
    before = (done.path / "metrics.jsonl").read_bytes()
    cut(done, lines, more)
    assert execute(done.path, "cpu") == DONE
    assert (done.path / "metrics.jsonl").read_bytes() == before


def test_metrics_that_nothing_holds_are_named(done: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(done.checkpoints)
    cut(done, 1)
    assert execute(done.path, "cpu") == DONE
    assert "epochs are missing, and no checkpoint holds them" in capsys.readouterr().err


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A training that was stopped in its last epoch."""
    torch.set_num_threads(1)
    (info,) = plan(load_experiment(str(TINY)), "tiny", ["DARTS_V2"])
    directory = RunDirectory(tmp_path_factory.mktemp("begun") / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu", StopAfter(17)) == INTERRUPTED
    assert len(directory.read_metrics()) == 2
    return directory


@pytest.fixture
def begun(stopped: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(stopped.path, tmp_path / "begun" / stopped.path.name)))


@pytest.mark.parametrize(("lines", "more"), [(1, '{"epoch": 1, "va'), (0, "\n{}\n"), (0, "")])
def test_final_metrics_do_not_come_from_the_file(
    begun: RunDirectory, whole: RunDirectory, lines: int, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(begun, lines, more)
    assert execute(begun.path, "cpu") == DONE
    assert "written anew from the checkpoint" in capsys.readouterr().err
    assert outcome(begun) == outcome(whole)


def forget_metrics(directory: RunDirectory) -> None:
    """Make the newest checkpoint one of an earlier version."""
    signature = directory.read_info().signature
    found = load_newest_checkpoint(directory.checkpoints, signature)
    assert found is not None
    del found["state"]["metrics"]
    save_checkpoint(directory.checkpoints, found["epoch"], found["step"], signature, found["state"])


def test_a_run_that_an_earlier_version_began(
    begun: RunDirectory, whole: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_metrics(begun)
    text = (begun.path / "metrics.jsonl").read_text()
    cut(begun, 1)
    assert execute(begun.path, "cpu") == FAILED
    assert "lacks epochs [1]" in capsys.readouterr().err
    (begun.path / "metrics.jsonl").write_text(text)
    assert execute(begun.path, "cpu") == DONE
    assert outcome(begun) == outcome(whole)


def test_run_json_of_a_begun_run_comes_back(begun: RunDirectory, whole: RunDirectory) -> None:
    before = begun.read_info().environment
    planned = plan(load_experiment(str(TINY)), "tiny", ["DARTS_V2"])[0]
    (begun.path / "run.json").unlink()
    begun.create(planned)
    assert begun.read_info().environment == before
    assert execute(begun.path, "cpu") == DONE
    assert outcome(begun) == outcome(whole)


def test_both_commits_are_named(begun: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    first = begun.read_info().commits
    monkeypatch.setattr("bench.device.engine.code_commit", lambda: ("b" * 40, True))
    assert execute(begun.path, "cpu") == DONE
    assert begun.read_info().commits == [*first, f"{'b' * 40}+dirty"]


def test_divergence_that_only_the_evaluation_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = TINY.read_text().replace("{epochs: 3, batch_size: 16,", "{epochs: 1, batch_size: 96, lr: 1.0e+30,")
    (tmp_path / "nan.yaml").write_text(content)
    (info,) = plan(load_experiment(str(tmp_path / "nan.yaml")), "tiny", ["DARTS_V2"])
    directory = RunDirectory(tmp_path / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == FAILED
    assert "test/loss became nan" in capsys.readouterr().err
    assert "diverged" in str(directory.read_info().error)
    assert directory.read_result() is None


def test_divergence_in_the_last_step() -> None:
    network = nn.Linear(2, 2)
    check_weights(network)
    network.weight.data[1, 1] = float("inf")
    with pytest.raises(DivergenceError, match="weight is no longer finite"):
        check_weights(network)


def sampling_search(tmp_path: Path, folder: str) -> RunDirectory:
    content = TINY.read_text().replace("{method: random_sampling}", "{method: random_sampling, options: {samples: 3}}")
    (tmp_path / "sampling.yaml").write_text(content.replace("{epochs: 3,", "{epochs: 1,"))
    info = plan(load_experiment(str(tmp_path / "sampling.yaml")), "tiny", ["random"], [0])[0]
    directory = RunDirectory(tmp_path / folder / info.name)
    directory.create(info)
    return directory


def test_a_sampling_search_counts_all_its_attempts(tmp_path: Path) -> None:
    alone, stopped = sampling_search(tmp_path, "alone"), sampling_search(tmp_path, "stopped")
    assert execute(alone.path, "cpu") == DONE
    stops = 0
    while execute(stopped.path, "cpu", StopAfter(4)) == INTERRUPTED:
        stops += 1
    assert stops >= 2
    assert outcome(stopped) == outcome(alone)
    costs = [json.loads((each.path / "result.json").read_text())["costs"] for each in (alone, stopped)]
    assert costs[0]["images"] == 3 * 48
    assert all(cost["wall_s"] > 0 and cost["peak_memory"] > 0 for cost in costs)


def test_costs_that_an_earlier_version_did_not_count(tmp_path: Path) -> None:
    alone, old = sampling_search(tmp_path, "alone"), sampling_search(tmp_path, "old")
    assert execute(alone.path, "cpu") == DONE
    signature = old.read_info().signature
    shutil.copytree(alone.checkpoints, old.checkpoints)
    shutil.copytree(alone.path / "proxies", old.path / "proxies")
    list_checkpoints(old.checkpoints)[-1].unlink()
    found = load_newest_checkpoint(old.checkpoints, signature)
    assert found is not None
    save_checkpoint(old.checkpoints, found["epoch"], 0, signature, {"scores": found["state"]["scores"]})
    assert execute(old.path, "cpu") == DONE
    assert outcome(old) == outcome(alone)


@pytest.mark.parametrize("name", [".run.json.0a1b2c3d4e5f.tmp", ".lease/.000001.json.0a1b2c3d4e5f.tmp"])
def test_what_a_kill_behind_the_result_left_over_is_removed(done: RunDirectory, name: str) -> None:
    (done.path / ".lease").mkdir(exist_ok=True)
    (done.path / name).write_text("{")
    assert execute(done.path, "cpu") == DONE
    assert not (done.path / name).exists()
