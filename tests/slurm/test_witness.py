"""The tracker as a witness of a status: what it lacks is said in a line, and it never holds the others up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from bench.cli import main
from bench.tracking.check import Comparison
from bench.tracking.mirror import open_store
from bench.tracking.pulse import is_there
from slurm import watch, witness
from slurm.status import Status
from slurm.witness import Answer, Tracker, describe
from tests.bench.test_records import result
from tests.slurm.test_status import make_run

URI = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("found", "text", "good"),
    [
        ({"a-p": Comparison(0)}, "", True),
        ({"a-p": Comparison(1)}, "MLflow shows all of 1 finished run", True),
        (
            {"a-p": Comparison(5, ["r1", "r2"], ["r3"])},
            "MLflow lacks 2 (r1, r2) and differs in 1 (r3) of 5 finished runs: `dasbench sync` brings it up to date",
            False,
        ),
        (
            {"a-p": Comparison(9, list("rstuv")), "b-p": Comparison(2)},
            "MLflow lacks 5 (a-p/r, a-p/s, a-p/t and 2 more) of 11 finished runs: `dasbench sync` brings it up to date",
            False,
        ),
        (
            {"a-p": Comparison(2, ["r", "s"], store_exists=False), "b-p": Comparison(0)},
            f"MLflow: no {URI} yet; `dasbench sync` makes it from 2 finished runs",
            False,
        ),
    ],
)
def test_what_is_said(found: dict[str, Comparison], text: str, good: bool, tmp_path: Path) -> None:
    assert describe(found, open_store(tmp_path, URI)) == Answer(text, good)


def show(tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["status", "--runs-dir", str(tmp_path), "--tracking-uri", uri]) == 0
    return capsys.readouterr().out


def finished_run(tmp_path: Path) -> None:
    record = make_run(tmp_path / "e-p", "done")
    record.directory.write_result(result())


def test_status_is_complete_while_the_tracker_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = threading.Event()
    monkeypatch.setattr(witness, "compare_records", lambda records, store: release.wait() and Comparison(0))
    monkeypatch.setattr(witness, "PATIENCE_SECONDS", 0.2)
    finished_run(tmp_path)
    lines = show(tmp_path, URI, capsys).splitlines()
    release.set()
    assert lines[0].startswith("1 done")
    assert lines[-1].startswith(f"MLflow does not answer: {URI}, asked ")


class Healthy(BaseHTTPRequestHandler):
    """A tracker that is there, whatever it may be busy with."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/prefix/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None: ...


@pytest.fixture
def healthy() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://somebody:secret@127.0.0.1:{server.server_port}/prefix/"
        server.shutdown()


def test_a_slow_tracker_that_is_there_is_not_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, healthy: str
) -> None:
    release = threading.Event()
    monkeypatch.setattr(witness, "compare_records", lambda records, store: release.wait() and Comparison(1))
    monkeypatch.setattr(witness, "PATIENCE_SECONDS", 0.4)
    monkeypatch.setattr(witness, "PULSE_SECONDS", 0.02)
    monkeypatch.setattr(witness, "LONGEST_SECONDS", 1.0)
    tracker = Tracker(tmp_path, healthy)
    tracker.ask([Status(tmp_path, [], [])])
    time.sleep(0.6)
    assert tracker.answer() == Answer(), "longer than its silence may be, and not for long enough to be called slow"
    said = tracker.wait().text
    assert said.startswith("MLflow is there, but slow: http://somebody:***@127.0.0.1:")
    release.set()
    monkeypatch.setattr(witness, "LONGEST_SECONDS", 60.0)
    assert tracker.wait().text == "MLflow shows all of 1 finished run"


def test_who_is_there(tmp_path: Path, healthy: str) -> None:
    assert is_there(open_store(tmp_path, healthy), 5)
    assert is_there(open_store(tmp_path, healthy.replace("/prefix", "")), 5), "a refusal is an answer"
    assert is_there(open_store(tmp_path, healthy.replace("http", "postgresql+psycopg2")), 5)
    assert is_there(open_store(tmp_path), 5), "a file cannot be silent"
    assert not is_there(open_store(tmp_path, URI), 5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts, and says nothing
        assert not is_there(open_store(tmp_path, f"http://127.0.0.1:{deaf.getsockname()[1]}"), 0.05)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (
            "sqlite:///{}/mlflow.db",
            "MLflow: no sqlite:///{}/mlflow.db yet; `dasbench sync` makes it from 1 finished run",
        ),
        ("file:x", "MLflow: 'file:x' is not a tracking URI that can be used; give sqlite"),
        ("sqlite:///{}/bad.db", "MLflow: {}/bad.db is damaged or not a database ("),
    ],
)
def test_status_says_in_one_line_what_is_wrong_with_the_tracker(
    uri: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.db").write_text("not a database " * 100)
    finished_run(tmp_path)
    lines = show(tmp_path, uri.format(tmp_path), capsys).splitlines()
    assert lines[0].startswith("1 done")
    assert lines[-1].startswith(said.format(tmp_path))
    assert sum("MLflow" in line for line in lines) == 1


def test_a_watch_asks_once_a_minute_and_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ticks, run = [], [0], make_run(tmp_path / "e-p", "pending")
    monkeypatch.setattr(witness, "compare_records", lambda records, store: asked.append(ticks[0]) or Comparison(1))

    def sleep(seconds: float) -> None:
        ticks[0] += 1
        if ticks[0] == 3:
            run.directory.write_result(result())

    monkeypatch.setattr(watch, "time", type("Time", (), {"sleep": staticmethod(sleep)}))
    monkeypatch.setattr(watch, "_goes_on", lambda now: now[0].count("done") == 0)
    console = Console(force_terminal=True, record=True, width=100)
    assert watch.show_status(console, [tmp_path / "e-p"], Tracker(tmp_path, URI), True) == 0
    assert ticks == [4]  # the third look finds nothing going on; one more makes sure
    assert (asked[0], asked[-1], len(asked)) == (0, 4, 2)
    assert "MLflow shows all of 1 finished run" in console.export_text()


def test_a_look_that_hangs_is_not_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, begun = threading.Event(), []
    look: Callable[..., Comparison | bool] = lambda *_: begun.append(0) or (release.wait() and Comparison(0))  # noqa: E731
    monkeypatch.setattr(witness, "compare_records", look)
    tracker = Tracker(tmp_path, URI)
    assert tracker.answer() == Answer()
    for _ in range(3):
        tracker.ask([Status(tmp_path, [], [])])
    assert len(begun) == 1
    assert tracker.answer() == Answer()  # not for long enough to be called silent
    monkeypatch.setattr(witness, "PATIENCE_SECONDS", 0.0)
    time.sleep(0.01)
    assert "does not answer" in tracker.answer().text
    release.set()
    monkeypatch.undo()
    assert tracker.wait() == Answer()
