"""One writer for each run directory: on one machine, between machines, and when a holder dies or sleeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.records.directory import RunDirectory
from bench.records.lease import LeaseHeldError, LeaseLostError, hold, holder_of
from bench.run.one_run import BUSY, DONE, execute

HOLDER = """
import sys, time
from pathlib import Path
from bench.records.lease import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def other_process(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def silent_for(path: Path, seconds: float) -> None:
    (file,) = (path / ".lease").glob("*.json")
    then = time.time() - seconds
    os.utime(file, (then, then))


def test_a_live_holder_is_respected_and_a_killed_one_replaced_at_once(
    tiny_runs: Callable[..., list[RunDirectory]], capsys: pytest.CaptureFixture[str]
) -> None:
    (directory,) = tiny_runs("DARTS_V2")
    process = other_process(directory.path)
    silent_for(directory.path, 1000)  # alive on this machine: its heartbeat does not matter
    before = directory.read_info()
    assert execute(directory.path, "cpu") == BUSY
    assert f"process {process.pid} on " in capsys.readouterr().err
    assert directory.read_info() == before
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert holder_of(directory.path) is None
    with hold(directory.path):
        holder = holder_of(directory.path)
        assert holder is not None
        assert holder.pid == os.getpid()


def test_a_holder_on_another_node_keeps_its_hold_while_its_heart_beats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    lost = threading.Event()
    with hold(tmp_path, lost.set, seconds=0.6) as first:
        monkeypatch.setenv("SLURMD_NODENAME", "n2")
        time.sleep(1.0)  # longer than the lease: only the heartbeat keeps it
        with pytest.raises(LeaseHeldError, match="on n1"), hold(tmp_path, seconds=0.6):
            pass
        first.check()
        assert not lost.is_set()


def test_a_cut_off_holder_is_replaced_and_notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    lost = threading.Event()
    with hold(tmp_path, lost.set, seconds=3.0) as first:
        silent_for(tmp_path, 10)
        monkeypatch.setenv("SLURMD_NODENAME", "n2")
        with hold(tmp_path, seconds=3.0) as second:
            with pytest.raises(LeaseLostError, match="took over"):
                first.check()
            assert lost.wait(2.0)
            first.release()  # must not give away what it no longer has
            second.check()
    assert holder_of(tmp_path) is None


def test_of_many_takers_one_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    with hold(tmp_path):
        silent_for(tmp_path, 1000)
        monkeypatch.setenv("SLURMD_NODENAME", "n2")
        together, done = threading.Barrier(8), threading.Event()

        def take(_: int) -> bool:
            together.wait()
            try:
                with hold(tmp_path):
                    return done.wait(10)
            except LeaseHeldError:
                return False

        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(take, n) for n in range(8)]
            while sum(future.done() for future in futures) < 7:
                time.sleep(0.01)
            done.set()
            assert sum(future.result() for future in futures) == 1


def test_a_pid_used_again_is_not_the_holder(tmp_path: Path) -> None:
    with hold(tmp_path) as lease:
        document = json.loads(lease.file.read_text())
        lease.file.write_text(json.dumps({**document, "started": "1"}))
        assert holder_of(tmp_path) is None
        with hold(tmp_path), pytest.raises(LeaseLostError):
            lease.check()


def test_a_lease_cut_short_by_a_kill_expires(tmp_path: Path) -> None:
    (tmp_path / ".lease").mkdir()
    (tmp_path / ".lease" / "000004.json").touch()
    with pytest.raises(LeaseHeldError), hold(tmp_path):
        pass
    silent_for(tmp_path, 1000)
    with hold(tmp_path) as lease:
        assert lease.file.name == "000005.json"


def test_a_copy_that_lost_its_run_writes_nothing(
    tiny_runs: Callable[..., list[RunDirectory]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder is cut off during a run; another node takes over; what it finds is what the first left."""
    (directory,) = tiny_runs("DARTS_V2")
    append, kept = RunDirectory.append_metrics, []

    def cut_off(self: RunDirectory, *arguments: object) -> None:
        append(self, *arguments)  # type: ignore[arg-type]
        number = int(next((self.path / ".lease").glob("*.json")).stem) + 1
        (self.path / ".lease" / f"{number:06d}.json").write_text("{}")
        kept.append({path: path.read_bytes() for path in self.path.rglob("*") if path.is_file()})

    monkeypatch.setattr(RunDirectory, "append_metrics", cut_off)
    assert execute(directory.path, "cpu") == BUSY
    now = {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()}
    now.pop(directory.path / "progress.json", None)
    kept[0].pop(directory.path / "progress.json", None)
    assert now == kept[0]
    assert len(kept) == 1


def test_a_heartbeat_of_a_clock_that_was_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds nothing for ever; a heart that still beats is seen all the same."""
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    with hold(tmp_path, seconds=60.0) as first:  # beats every ten seconds: not during this test
        monkeypatch.setenv("SLURMD_NODENAME", "n2")
        silent_for(tmp_path, -3600.0)
        assert holder_of(tmp_path) is None
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(0.02):
                os.utime(first.file, (time.time() + 3600.0, time.time() + 3600.0))

        heart = threading.Thread(target=beat)
        heart.start()
        with pytest.raises(LeaseHeldError, match="on n1"), hold(tmp_path, seconds=0.6):
            pass
        stop.set()
        heart.join()
        with hold(tmp_path, seconds=0.6), pytest.raises(LeaseLostError):
            first.check()


def test_a_live_holder_whose_clock_is_an_hour_behind_is_replaced_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that takes the time from its machine it looks dead; it notices, and there is one writer."""
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    utime, lost = os.utime, threading.Event()

    def behind(path: Path, *times: object) -> None:
        if path.suffix == ".json":  # a heartbeat of n1, not the question what time it is
            utime(path, (time.time() - 3600.0, time.time() - 3600.0))
        else:
            utime(path, *times)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "utime", behind)
    with hold(tmp_path, lost.set, seconds=0.6) as first:
        time.sleep(0.3)  # its heart has beaten
        monkeypatch.setenv("SLURMD_NODENAME", "n2")
        with hold(tmp_path, seconds=60.0) as second:
            assert lost.wait(2.0)
            with pytest.raises(LeaseLostError):
                first.check()
            second.check()


def test_numbers_of_leases_have_no_end(tmp_path: Path) -> None:
    with hold(tmp_path) as first:
        pass
    first.file.rename(tmp_path / ".lease" / "999999.json")
    for number in ("1000000", "1000001"):
        with hold(tmp_path) as lease:
            assert lease.file.stem == number
            lease.check()
    assert len(list((tmp_path / ".lease").iterdir())) == 1


def test_what_killed_writers_left_is_removed(tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    (directory,) = tiny_runs("DARTS_V2")
    left = [directory.path / name for name in (".run.json.77.tmp", ".lease/000000.tmp", "architecture.json.tmp")]
    left += [directory.path / "proxies" / "001" / "checkpoints" / ".epoch-00000-step-0000001.pt.5.tmp"]
    old = directory.path / ".lease" / ".probe-1"
    for path in [*left, old]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    os.utime(old, (1.0, 1.0))
    assert execute(directory.path, "cpu") == DONE
    assert not [path for path in [*left, old] if path.exists()]
