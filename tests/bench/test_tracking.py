"""Mirroring into a real MLflow store on disk: complete, incremental, idempotent, rebuildable, in both ways it is done:
through the tables of a SQLite store, and through MLflow's client as into any other store.
"""

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.tracking import tables as tracking_tables
from bench.tracking.mirror import open_store, sync
from tests.bench.mirrored import add_epoch, add_run, all_runs, children, client, counts, history


@pytest.fixture(autouse=True, params=["tables", "client"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "client":
        monkeypatch.setattr(tracking_tables, "are_known", lambda database: False)
    return str(request.param)


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


@pytest.mark.parametrize("name", ["it's", 'the "same"', 'it\'s the "same"', "a`b\\"])
def test_a_name_with_quotes_is_found_again(runs_dir: Path, name: str) -> None:
    """No filter of MLflow's can hold both kinds of quotes; names of today have none, records of others may."""
    add_run(runs_dir, experiment=name)
    add_run(runs_dir, seed=1, experiment=name)
    store = open_store(runs_dir)
    folder = runs_dir / "tiny-quick"
    assert counts(sync(folder, store)) == (2, 0, 0)
    again = sync(folder, store)
    assert (counts(again), again.problems) == ((0, 0, 2), [])


def test_the_rows_that_share_a_run_are_a_tag(runs_dir: Path) -> None:
    add_run(runs_dir, also=["paper", "w/o skip"])
    add_run(runs_dir, seed=1)
    store = open_store(runs_dir)
    sync(runs_dir / "tiny-quick", store)
    found = children(store)
    assert found["search darts s0"].data.tags["shared_by"] == "paper, w/o skip"
    assert "shared_by" not in found["search darts s1"].data.tags


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
    monkeypatch.setattr(tracking_tables, "are_known", lambda database: False)  # a transaction is not cut short
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


def _sync_in_a_process(runs_dir: Path, way: str) -> None:
    if way == "client":
        tracking_tables.are_known = lambda database: False
    sync(runs_dir / "tiny-quick", open_store(runs_dir), wait_s=240)  # while the other makes the database


@pytest.mark.parametrize("way", ["tables", pytest.param("client", marks=pytest.mark.long)], indirect=True)
def test_two_processes_at_once_rebuild_a_database_that_is_gone(runs_dir: Path, way: str) -> None:
    for seed in range(3):
        add_run(runs_dir, seed=seed)
    sync(runs_dir / "tiny-quick", open_store(runs_dir))
    moved = runs_dir / "moved"
    shutil.copytree(runs_dir / "tiny-quick", moved / "tiny-quick")  # the records alone
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_sync_in_a_process, args=(moved, way)) for _ in range(2)]
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
        "import sys, time\nfrom pathlib import Path\nfrom bench.records.lease import hold\n"
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
    directory.write_result({"phase": "search", "metrics": {}, "costs": {}, "epochs": 3, "architecture": "found"})
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
