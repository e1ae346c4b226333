"""Faults that need no cluster: kills at random moments, a full disk, bad checkpoints, two processes on one run.

`DASBENCH_KILLS=20` (`make test-kills` sets it) is the published number of random kills; by default there are fewer.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.records.checkpoint import list_checkpoints
from bench.records.directory import RunDirectory, RunInfo
from bench.run.one_run import BUSY, DONE, FAILED, execute
from tests.bench.test_resume import outcome
from tests.slurm.scenario import runs_of
from tests.slurm.small_disks import fill, mounted

KILLS = int(os.environ.get("DASBENCH_KILLS", "1"))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("bench.run.loop.CHECKPOINT_SECONDS", 0.0)


def make(folder: Path, info: RunInfo) -> RunDirectory:
    directory = RunDirectory(folder / info.name)
    directory.create(info)
    return directory


def start(directory: RunDirectory) -> int:
    """Do a run in a fork of this process, which has everything imported; returns its pid."""
    pid = os.fork()
    if pid == 0:
        os._exit(execute(directory.path, "cpu"))
    return pid


def ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG) != (0, 0)


@pytest.mark.long
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """SIGKILL at seeded random moments, a search and a training in turn, some of them twice."""
    search, training = runs_of("arrays", "darts")[:2]
    whole, seconds = {}, {}
    for info in (search, training):
        directory, began = make(tmp_path / "whole", info), time.monotonic()
        assert os.waitpid(start(directory), 0)[1] == 0
        seconds[info.phase] = time.monotonic() - began
        whole[info.phase] = outcome(directory)
    draw, cuts = random.Random(0), list[tuple[str, float]]()
    for attempt in itertools.count():
        if len(cuts) >= KILLS:
            break
        info = (search, training)[attempt % 2]
        folder = tmp_path / f"killed-{attempt}"
        if info is training:  # the search it needs
            shutil.copytree(tmp_path / "whole" / search.name, folder / search.name)
        directory = make(folder, info)
        for _ in range(draw.choice([1, 1, 2])):
            moment = draw.uniform(0.05, 0.95) * seconds[info.phase]
            pid = start(directory)
            time.sleep(moment)
            if not ended(pid):  # a run that was faster this time was not killed and does not count
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                cuts.append((info.phase, round(moment / seconds[info.phase], 2)))
        assert os.waitpid(start(directory), 0)[1] == 0
        assert outcome(directory) == whole[info.phase], f"kill {len(cuts)}: {cuts[-2:]}"
    print(f"{len(cuts)} kills (phase, moment as part of the run), all byte-equal: {cuts}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    with mounted(tmp_path / "disk", "8m") as path:
        yield path


@pytest.mark.parametrize("row", ["DARTS_V2", pytest.param("darts", marks=pytest.mark.long)])
def test_a_full_disk(row: str, small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a training, and in a search."""
    info = runs_of("arrays", row)[0]
    whole = make(tmp_path / "whole", info)
    assert execute(whole.path, "cpu") == DONE
    directory = make(small_disk, info)
    filler = small_disk / "filler"
    pid = start(directory)
    while len(list_checkpoints(directory.checkpoints)) < 2:
        time.sleep(0.01)
    fill(filler)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == FAILED
    kept = list_checkpoints(directory.checkpoints)
    assert kept
    assert directory.read_result() is None
    assert execute(directory.path, "cpu") == FAILED  # still full
    assert "No space left on device" in capsys.readouterr().err
    assert list_checkpoints(directory.checkpoints) == kept
    filler.unlink()
    assert execute(directory.path, "cpu") == DONE
    assert outcome(directory) == outcome(whole)


def interrupted(folder: Path, info: RunInfo) -> RunDirectory:
    """A run that was killed when it had two checkpoints."""
    directory = make(folder, info)
    pid = start(directory)
    while len(list_checkpoints(directory.checkpoints)) < 2:
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert directory.read_result() is None
    return directory


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    (info,) = runs_of("arrays", "DARTS_V2")
    whole, directory = make(tmp_path / "whole", info), interrupted(tmp_path / "cut", info)
    assert execute(whole.path, "cpu") == DONE
    newest = list_checkpoints(directory.checkpoints)[-1]
    newest.write_bytes(newest.read_bytes()[:-1000])
    with pytest.warns(UserWarning, match="is damaged"):
        assert execute(directory.path, "cpu") == DONE
    assert outcome(directory) == outcome(whole)


def test_a_checkpoint_of_another_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (info,) = runs_of("arrays", "DARTS_V2")
    (other,) = runs_of("arrays", "PC_DARTS_cifar")
    theirs = interrupted(tmp_path, info)
    directory = make(tmp_path, other)
    shutil.copytree(theirs.checkpoints, directory.checkpoints)
    before = {path: path.read_bytes() for path in directory.checkpoints.iterdir()}
    assert execute(directory.path, "cpu") == FAILED
    assert f"belongs to configuration {info.signature}, this run is {other.signature}" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in directory.checkpoints.iterdir()} == before


def test_two_processes_on_one_run(tmp_path: Path) -> None:
    (info,) = runs_of("arrays", "DARTS_V2")
    whole, directory = make(tmp_path / "whole", info), make(tmp_path / "both", info)
    assert execute(whole.path, "cpu") == DONE
    first = start(directory)
    while not list_checkpoints(directory.checkpoints):
        time.sleep(0.01)
    second = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench.run", str(directory.path)], capture_output=True, text=True
    )
    assert second.returncode in (BUSY, DONE)
    assert second.returncode == DONE or f"process {first} on" in second.stderr
    assert os.waitpid(first, 0)[1] == 0
    assert outcome(directory) == outcome(whole)
