"""Mirroring into a real MLflow store on disk: complete, incremental, idempotent, rebuildable, and never in the way."""

import json
import math
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import tracking, tracking_view
from bench.records import Record, RunDirectory, RunInfo, read_records
from bench.tracking import Mirror, Store, SyncReport, TrackingError, attach, follow, open_store, prepare, sync
from methods.architecture import Architecture

GENOTYPE = {"normal": [["skip_connect", 0]], "reduce": []}


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared database to copy: making one takes MLflow seconds."""
    folder = tmp_path_factory.mktemp("store")
    prepare(open_store(folder, f"sqlite:///{folder}/mlflow.db"))
    return folder / "mlflow.db"


@pytest.fixture
def runs_dir(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def add_run(
    runs_dir: Path, phase: str = "search", seed: int = 0, epochs: int = 3, status: str = "done"
) -> RunDirectory:
    info = RunInfo(
        experiment="tiny",
        profile="quick",
        label="darts",
        method="darts",
        phase=phase,
        dataset="digits",
        search_seed=seed,
        retrain_seed=None if phase == "search" else 1,
        signature=f"{phase}{seed}abcdef0123456789",
        config={"method": {"channels": 4, "arch_lr": 3e-4}, "augmentation": "crop", "empty": None},
        recipe={} if phase == "search" else {"name": "darts-cifar", "hash": "beef"},
        environment={"device": "CPU model", "host": socket.gethostname(), "commit": "c0ffee", "dirty": False},
        status=status,
        created=1_700_000_000.0 + seed,
        started=1_700_000_001.0,
        finished=1_700_000_100.0 if status == "done" else None,
    )
    directory = RunDirectory(runs_dir / "tiny-quick" / info.name)
    directory.create(info)
    for epoch in range(epochs):
        add_epoch(directory, epoch)
    if status == "done":
        Architecture("cell", GENOTYPE).save(directory.path)
        metrics = {"test_accuracy": 91.5, "missing": None} if phase == "train" else {"valid_accuracy": 80.0}
        directory.write_result({"phase": phase, "metrics": metrics, "costs": {"params": 1234}, "epochs": epochs})
    return directory


def add_epoch(directory: RunDirectory, epoch: int) -> None:
    values = {"train/loss": 1.0 / (epoch + 1), "lr": 0.1, "mgas/ratio": [0.5, 0.25], "arch/skips_normal": epoch}
    directory.append_metrics(epoch, epoch * 10, values, wall_s=epoch + 0.5, device_s=epoch + 0.5)


def client(store: Store) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri)


def all_runs(store: Store) -> list[Any]:
    tracker = client(store)
    return list(tracker.search_runs([tracker.get_experiment_by_name("tiny").experiment_id]))


def children(store: Store) -> dict[str, Any]:
    return {run.info.run_name: run for run in all_runs(store) if "mlflow.parentRunId" in run.data.tags}


def history(store: Store, run: Any, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client(store).get_metric_history(run.info.run_id, name)]


def counts(report: SyncReport) -> tuple[int, int, int]:
    return report.created, report.updated, report.unchanged


def test_everything_a_record_holds_is_there(runs_dir: Path) -> None:
    add_run(runs_dir)
    train = add_run(runs_dir, phase="train")
    store = open_store(runs_dir)
    picture = runs_dir / "cells.svg"
    picture.write_text("<svg/>")
    report = sync(runs_dir / "tiny-quick", store, lambda record: {"cells/normal.svg": picture})
    assert counts(report) == (2, 0, 0)
    assert not report.problems

    found = children(store)
    assert set(found) == {"search darts s0", "train darts s0 r1"}
    run = found["train darts s0 r1"]
    assert run.info.status == "FINISHED"
    assert run.info.end_time == 1_700_000_100_000
    assert run.data.params == {
        "method.channels": "4",
        "method.arch_lr": "0.0003",
        "augmentation": "crop",
        "empty": "null",
    }
    tags = run.data.tags
    expected = {"method": "darts", "dataset": "digits", "profile": "quick", "phase": "train", "device": "CPU model"}
    expected |= {"commit": "c0ffee", "search_seed": "0", "retrain_seed": "1", "recipe": "darts-cifar", "label": "darts"}
    expected |= {"run_directory": str(train.path), "host": socket.gethostname(), "recipe_hash": "beef"}
    assert expected.items() <= tags.items()
    assert "retrain_seed" not in found["search darts s0"].data.tags
    assert run.data.metrics["result/test_accuracy"] == 91.5
    assert run.data.metrics["cost/params"] == 1234
    assert "result/missing" not in run.data.metrics
    assert history(store, run, "train/train_loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert history(store, found["search darts s0"], "search/lr") == [(0, 0.1), (1, 0.1), (2, 0.1)]
    assert history(store, run, "mgas/ratio/01") == [(0, 0.25), (1, 0.25), (2, 0.25)]
    files = {item.path for item in client(store).list_artifacts(run.info.run_id)}
    assert files == {"architecture.json", "result.json", "cells"}
    assert [f.path for f in client(store).list_artifacts(run.info.run_id, "cells")] == ["cells/normal.svg"]
    assert (runs_dir / "mlartifacts").is_dir()
    parent = client(store).get_run(tags["mlflow.parentRunId"])
    assert (parent.info.run_name, parent.info.status) == ("tiny quick", "FINISHED")
    assert (parent.info.start_time, parent.info.end_time) == (1_700_000_000_000, 1_700_000_100_000)


def test_twice_adds_nothing_and_a_run_that_went_on_gets_its_new_epochs(runs_dir: Path) -> None:
    directory = add_run(runs_dir, epochs=2, status="running")
    add_run(runs_dir, seed=1)
    store = open_store(runs_dir)
    folder = runs_dir / "tiny-quick"
    assert counts(sync(folder, store)) == (2, 0, 0)
    before = [(run.info.run_id, run.data.to_dictionary()) for run in all_runs(store)]
    assert counts(sync(folder, store)) == (0, 0, 2)
    assert [(run.info.run_id, run.data.to_dictionary()) for run in all_runs(store)] == before

    add_epoch(directory, 2)
    assert counts(sync(folder, store)) == (0, 1, 1)
    run = children(store)["search darts s0"]
    assert history(store, run, "search/train_loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert run.info.run_id in dict(before)


def test_epochs_taken_back_by_a_resume_are_not_kept_twice(runs_dir: Path) -> None:
    directory = add_run(runs_dir, epochs=3, status="running")
    store = open_store(runs_dir)
    sync(runs_dir / "tiny-quick", store)
    directory.truncate_metrics(1)
    directory.append_metrics(1, 10, {"train/loss": 7.0}, wall_s=1.0, device_s=1.0)
    sync(runs_dir / "tiny-quick", store)
    found = children(store)
    assert len(all_runs(store)) == 2
    assert history(store, found["search darts s0"], "search/train_loss") == [(0, 1.0), (1, 7.0)]


def test_a_sync_cut_short_is_completed_without_duplicates(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_run(runs_dir)
    store = open_store(runs_dir)
    from mlflow import MlflowClient

    whole = MlflowClient.log_batch

    def killed(self: Any, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        whole(self, run_id, metrics=metrics, params=params[:1])  # stored, but not marked as stored
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            sync(runs_dir / "tiny-quick", store)
    sync(runs_dir / "tiny-quick", store)
    run = children(store)["search darts s0"]
    assert history(store, run, "search/train_loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert run.data.params["method.channels"] == "4"
    assert run.info.status == "FINISHED"


def _sync_in_a_process(runs_dir: Path) -> None:
    sync(runs_dir / "tiny-quick", open_store(runs_dir))


def test_two_processes_at_once_rebuild_a_database_that_is_gone(runs_dir: Path) -> None:
    for seed in range(3):
        add_run(runs_dir, seed=seed)
    sync(runs_dir / "tiny-quick", open_store(runs_dir))
    moved = runs_dir / "moved"
    shutil.copytree(runs_dir / "tiny-quick", moved / "tiny-quick")  # the records alone
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_sync_in_a_process, args=(moved,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    assert [worker.exitcode for worker in workers] == [0, 0]
    before, after = children(open_store(runs_dir)), children(open_store(moved))
    assert len(all_runs(open_store(moved))) == 4
    for name, run in before.items():
        assert after[name].data.metrics == run.data.metrics
        assert after[name].data.params == run.data.params
        assert history(open_store(moved), after[name], "search/train_loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]


@pytest.mark.parametrize(
    ("status", "shown"),
    [("done", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED"), ("pending", "SCHEDULED")],
)
def test_status(runs_dir: Path, status: str, shown: str) -> None:
    add_run(runs_dir, status=status)
    store = open_store(runs_dir)
    sync(runs_dir / "tiny-quick", store)
    assert {run.info.status for run in all_runs(store)} == {shown}


def test_a_run_comes_to_mlflow_when_it_starts_with_the_time_of_its_start(runs_dir: Path) -> None:
    directory = add_run(runs_dir, status="pending", epochs=0)
    info = directory.read_info()
    info.started = None
    directory.write_info(info)
    store = open_store(runs_dir)
    report = sync(runs_dir / "tiny-quick", store)
    assert (counts(report), report.waiting) == ((0, 0, 0), 1)
    assert not children(store)
    info.status, info.started = "running", 1_700_000_500.0
    directory.write_info(info)
    sync(runs_dir / "tiny-quick", store)
    assert children(store)["search darts s0"].info.start_time == 1_700_000_500_000


def test_a_killed_run_is_not_running_for_ever(runs_dir: Path) -> None:
    directory = add_run(runs_dir, status="running")
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom bench.lease import hold\n"
        "with hold(Path(sys.argv[1])):\n    print(flush=True)\n    time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, str(directory.path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    long_ago = time.time() - 3600
    for name in ("metrics.jsonl", "run.json"):
        os.utime(directory.path / name, (long_ago, long_ago))
    store = open_store(runs_dir)
    try:
        sync(runs_dir / "tiny-quick", store)
        assert {run.info.status for run in all_runs(store)} == {"RUNNING"}
    finally:
        holder.kill()
        holder.wait()
    sync(runs_dir / "tiny-quick", store)
    assert {run.info.status for run in all_runs(store)} == {"KILLED"}
    assert children(store)["search darts s0"].info.end_time == pytest.approx(long_ago * 1000, abs=2)


def test_an_error_is_shown_and_goes_when_the_run_succeeds(runs_dir: Path) -> None:
    directory = add_run(runs_dir, status="failed")
    info = directory.read_info()
    info.error = "ValueError: loss is NaN"
    directory.write_info(info)
    store = open_store(runs_dir)
    sync(runs_dir / "tiny-quick", store)
    assert children(store)["search darts s0"].data.tags["error"] == "ValueError: loss is NaN"
    info.status, info.error = "done", None
    directory.write_info(info)
    sync(runs_dir / "tiny-quick", store)
    run = children(store)["search darts s0"]
    assert "error" not in run.data.tags
    assert run.info.status == "FINISHED"


def test_a_run_directory_made_anew_replaces_its_run(runs_dir: Path) -> None:
    directory = add_run(runs_dir)
    store = open_store(runs_dir)
    sync(runs_dir / "tiny-quick", store)
    info = directory.read_info()
    info.created += 500.0
    directory.write_info(info)
    assert sync(runs_dir / "tiny-quick", store).created == 1
    assert len(all_runs(store)) == 2  # the parent and one nested run


def test_a_damaged_record_is_named_and_the_others_are_mirrored(runs_dir: Path) -> None:
    add_run(runs_dir, seed=0)
    broken_info = add_run(runs_dir, seed=1)
    (broken_info.path / "run.json").write_text("{")
    broken_lines = add_run(runs_dir, seed=2)
    lines = (broken_lines.path / "metrics.jsonl").read_text().splitlines()
    (broken_lines.path / "metrics.jsonl").write_text("\n".join(["{", *lines]) + "\n")
    report = sync(runs_dir / "tiny-quick", open_store(runs_dir))
    assert counts(report) == (1, 0, 0)
    assert len(report.problems) == 2
    assert str(broken_info.path) in report.problems[0]
    assert str(broken_lines.path) in report.problems[1]


def test_a_drawing_that_fails_is_named_and_tried_again(runs_dir: Path) -> None:
    add_run(runs_dir)
    store = open_store(runs_dir)

    def fail(record: Record) -> dict[str, Path]:
        raise ValueError("no ink")

    report = sync(runs_dir / "tiny-quick", store, fail)
    assert any("no ink" in problem for problem in report.problems)
    picture = runs_dir / "cells.svg"
    picture.write_text("<svg/>")
    assert counts(sync(runs_dir / "tiny-quick", store, lambda record: {"cells/normal.svg": picture})) == (0, 1, 0)


@pytest.fixture
def dead_uri() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_dead_tracker_ends_soon_in_a_clear_error(
    runs_dir: Path, dead_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    add_run(runs_dir)
    for uri in (dead_uri, "http://127.0.0.1:9"):
        started = time.monotonic()
        with pytest.raises(TrackingError, match=rf"the tracker {uri} failed: .*dasbench sync"):
            sync(runs_dir / "tiny-quick", open_store(runs_dir, uri))
        assert time.monotonic() - started < 10


def test_beside_a_running_experiment_a_dead_tracker_is_one_warning(runs_dir: Path) -> None:
    add_run(runs_dir)
    warnings: list[str] = []
    mirror = Mirror(runs_dir / "tiny-quick", open_store(runs_dir, "http://127.0.0.1:9"), warn=warnings.append)
    started = time.monotonic()
    assert mirror.update() is None
    with pytest.MonkeyPatch.context() as patch:  # for a minute nobody knocks again
        patch.setattr(tracking, "sync", lambda *_, **__: pytest.fail("the tracker was left no peace"))
        assert mirror.update() is None
    mirror._not_before = 0.0
    assert mirror.update() is None
    assert len(warnings) == 1
    assert "dasbench sync" in warnings[0]
    assert time.monotonic() - started < 10


def test_what_could_not_be_mirrored_is_said_once(runs_dir: Path) -> None:
    add_run(runs_dir, seed=0)
    broken = add_run(runs_dir, seed=1)
    (broken.path / "run.json").write_text("{")
    warnings: list[str] = []
    mirror = Mirror(runs_dir / "tiny-quick", open_store(runs_dir), warn=warnings.append)
    mirror.update()
    mirror.finish(within_s=-1.0)
    assert len(warnings) == 2
    assert str(broken.path) in warnings[0]
    assert "1 run(s) are not in" in warnings[1]


def test_follow_mirrors_what_comes_and_the_end(runs_dir: Path) -> None:
    directory = add_run(runs_dir, epochs=1, status="running")
    store = open_store(runs_dir)
    rounds = iter([False, False, True])
    seen = []

    def sleep(seconds: float) -> None:
        seen.append(len(history(store, children(store)["search darts s0"], "search/train_loss")))
        add_epoch(directory, len(seen))

    follow(Mirror(runs_dir / "tiny-quick", store), lambda: next(rounds), sleep=sleep)
    assert seen == [1, 2]
    assert len(history(store, children(store)["search darts s0"], "search/train_loss")) == 3


def test_a_sync_that_finds_another_at_work_says_so(runs_dir: Path) -> None:
    add_run(runs_dir)
    store = open_store(runs_dir)
    with tracking._only_writer(store, 0), pytest.raises(TrackingError, match=r"another sync .*mlflow\.db\.lock"):
        sync(runs_dir / "tiny-quick", store, wait_s=0.1)
    store.lock.write_text("left behind by a process that was killed")
    assert sync(runs_dir / "tiny-quick", store, wait_s=0).created == 1


def test_what_a_deadline_cuts_off_is_said(runs_dir: Path) -> None:
    for seed in range(3):
        add_run(runs_dir, seed=seed)
    report = sync(runs_dir / "tiny-quick", open_store(runs_dir), deadline_s=-1.0)
    assert (report.created, report.left) == (0, 3)
    assert "3 left for the next sync" in str(report)


def test_the_report_is_attached_to_the_parent(runs_dir: Path) -> None:
    add_run(runs_dir)
    store = open_store(runs_dir)
    page = runs_dir / "index.html"
    page.write_text("<html/>")
    sync(runs_dir / "tiny-quick", store)
    attach(runs_dir / "tiny-quick", store, [page])
    parent = next(run for run in all_runs(store) if "mlflow.parentRunId" not in run.data.tags)
    assert [f.path for f in client(store).list_artifacts(parent.info.run_id, "report")] == ["report/index.html"]


def test_where_the_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    default = open_store(Path("runs"))
    assert default.uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert default.artifact_root == tmp_path / "runs" / "mlartifacts"
    assert open_store(Path("runs"), "sqlite:///here.db").uri == f"sqlite:///{tmp_path}/here.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@tracker:5000")
    assert open_store(Path("runs")).artifact_root is None
    assert open_store(Path("runs")).shown == "http://user:***@tracker:5000"
    for bad in ("./mlruns", "file:///x/mlruns"):
        with pytest.raises(TrackingError, match="is not a tracking URI that can be used"):
            open_store(Path("runs"), bad)


def test_no_folder_and_no_writable_store(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="no experiment folder"):
        sync(tmp_path / "nothing-quick", open_store(tmp_path))
    add_run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="cannot write"):
        sync(tmp_path / "tiny-quick", open_store(tmp_path, f"sqlite:///{tmp_path}/file/mlflow.db"))


def test_mlflow_is_not_imported_with_the_harness() -> None:
    code = "import sys, bench.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_metric_names_and_values() -> None:
    assert tracking_view.metric_name("search", "valid/accuracy") == "search/valid_accuracy"
    assert tracking_view.metric_name("train", "lr") == "train/lr"
    assert tracking_view.metric_name("search", "arch/operations/sep_conv_3x3") == "arch/operations/sep_conv_3x3"
    assert tracking_view.metric_name("search", "mgas/λ%") == "mgas/λ_"
    line = {"epoch": 4, "step": 9, "time": 1.5, "wall_s": 2.0, "device_s": 2.0}
    values = {"train/loss": math.nan, "flag": True, "text": "x", "none": None, "huge": math.inf}
    metrics = tracking_view.epoch_metrics("train", {**line, "values": values})
    named = {name: value for name, value, _, _ in metrics}
    assert set(named) == {"train/train_loss", "time/wall_s", "time/device_s"}
    assert math.isnan(named["train/train_loss"])


def test_records_are_left_alone(runs_dir: Path) -> None:
    directory = add_run(runs_dir)
    before = {path.name: path.read_bytes() for path in directory.path.iterdir()}
    sync(runs_dir / "tiny-quick", open_store(runs_dir))
    assert {path.name: path.read_bytes() for path in directory.path.iterdir()} == before
    records, problems = read_records(runs_dir / "tiny-quick")
    assert (len(records), problems) == (1, [])
    assert json.loads((directory.path / "run.json").read_text())["status"] == "done"
