"""What goes wrong while mirroring is named, is said once, and is never in the way of the runs."""

import json
import math
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.records.directory import Record, read_records
from bench.tracking import mirror as tracking
from bench.tracking import view as tracking_view
from bench.tracking.mirror import Mirror, TrackingError, attach, follow, open_store, sync
from tests.bench.mirrored import add_epoch, add_run, all_runs, children, client, counts, history


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
    with tracking.only_writer(store, 0), pytest.raises(TrackingError, match=r"another sync .*mlflow\.db\.lock"):
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
    code = "import sys, bench.tracking.mirror; sys.exit('mlflow' in sys.modules)"
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
