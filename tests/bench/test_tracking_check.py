"""What MLflow lacks of the finished runs is found by looking only, in a real store on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.records.directory import RunDirectory
from bench.tracking.check import Comparison, compare, exists
from bench.tracking.mirror import TrackingError, open_store, sync
from tests.bench.mirrored import add_run, client


def finish(directory: RunDirectory, status: str, when: float) -> None:
    info = directory.read_info()
    info.status, info.finished = status, when
    directory.write_info(info)


def test_what_is_missing_and_what_differs(runs_dir: Path) -> None:
    folder, store = runs_dir / "tiny-quick", open_store(runs_dir)
    first, second, failed = (
        add_run(runs_dir, seed=0),
        add_run(runs_dir, seed=1),
        add_run(runs_dir, seed=2, status="failed"),
    )
    finish(failed, "failed", 1_700_000_050.0)
    add_run(runs_dir, seed=3, status="running")  # not finished: nobody expects it to be complete
    names = [directory.path.name for directory in (first, second, failed)]
    assert compare(folder, store) == Comparison(3, missing=names)
    sync(folder, store)
    assert compare(folder, store) == Comparison(3)
    finish(failed, "failed", 1_700_000_060.0)  # it was tried again
    fourth = add_run(runs_dir, seed=4)
    assert compare(folder, store) == Comparison(4, [fourth.path.name], [failed.path.name])
    sync(folder, store)
    assert compare(folder, store) == Comparison(4)


def test_an_experiment_deleted_in_mlflow_holds_nothing(runs_dir: Path) -> None:
    folder, store = runs_dir / "tiny-quick", open_store(runs_dir)
    name = add_run(runs_dir).path.name
    sync(folder, store)
    tracker = client(store)
    tracker.delete_experiment(tracker.get_experiment_by_name("tiny").experiment_id)
    assert compare(folder, store) == Comparison(1, missing=[name])


def test_looking_changes_nothing(runs_dir: Path) -> None:
    """Also where the database is there and the experiment is not."""
    add_run(runs_dir)
    before = {path: path.stat().st_mtime_ns for path in runs_dir.rglob("*") if path.is_file()}
    compare(runs_dir / "tiny-quick", open_store(runs_dir))
    assert {path: path.stat().st_mtime_ns for path in runs_dir.rglob("*") if path.is_file()} == before
    assert client(open_store(runs_dir)).get_experiment_by_name("tiny") is None


@pytest.mark.parametrize("content", [None, b""])
def test_no_store_is_made_by_looking_and_mlflow_is_not_imported(tmp_path: Path, content: bytes | None) -> None:
    name = add_run(tmp_path).path.name
    store = open_store(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    assert store.file is not None
    if content is not None:  # a file that MLflow would lay out as soon as it opens it
        store.file.write_bytes(content)
    program = (
        "import sys; from pathlib import Path; from bench.tracking.mirror import open_store\n"
        "from bench.tracking.check import compare\n"
        f"print(compare(Path({str(tmp_path / 'tiny-quick')!r}), open_store(Path({str(tmp_path)!r}), {store.uri!r})))\n"
        "assert 'mlflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(Comparison(1, [name], store_exists=False))
    assert (store.file.read_bytes() if store.file.exists() else None) == content
    assert {path.name for path in tmp_path.iterdir()} - {"mlflow.db"} == {"tiny-quick"}


def test_without_finished_runs_nobody_is_asked(tmp_path: Path) -> None:
    add_run(tmp_path, status="running")
    assert compare(tmp_path / "tiny-quick", open_store(tmp_path, "http://127.0.0.1:9")) == Comparison(0)


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    add_run(tmp_path)
    store = open_store(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    assert exists(store)
    with pytest.raises(TrackingError, match=r"is damaged or not a database"):
        compare(tmp_path / "tiny-quick", store)
