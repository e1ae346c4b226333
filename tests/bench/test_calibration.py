"""What a CPU is calibrated to: who measures, what is kept, and that a begun run stays with what it began with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from bench.cli import main
from bench.device import calibration, cpu_alternatives
from bench.device.calibration import FILE_NAME, SWITCH, Calibration, calibrate, find, key, recall
from bench.device.cpu_alternatives import COMPILED, FORMATS, decide, measure, sums_name, time_name
from bench.device.distributed import Group
from bench.device.doctor import checks
from bench.records.directory import RunDirectory, SilentDirectory
from bench.run import one_run as run
from bench.run.one_run import DONE, FAILED, INTERRUPTED, execute
from bench.run.stop import StopFlag
from bench.run.timings import Timing
from methods.parts.cpu_choices import DEFAULT_CHOICES, DEPTHWISE_CLASSES, CpuChoices, choose, chosen
from tests.bench.conftest import TINY
from tests.bench.test_resume import StopAfter, kill, outcome

OTHER = CpuChoices("contiguous", DEPTHWISE_CLASSES)
EQUAL = {name: 10.0 for form in FORMATS for name in (time_name(form, None), sums_name(form))} | {
    time_name(form, work, own): 10.0 for form in FORMATS for work in DEPTHWISE_CLASSES for own in (False, True)
}
"""All alternatives equally fast, and no compiled loops."""
LOOPS = {sums_name(COMPILED, compiled=True): 10.0} | {
    time_name(COMPILED, work, compiled=True): 10.0 for work in DEPTHWISE_CLASSES if work[1] == 1
}
"""Compiled loops, no faster."""


def times_for(choices: CpuChoices) -> dict[str, float]:
    """Times by which these are chosen."""
    form = choices.memory_format
    chosen_ones = {time_name(form, None), sums_name(form)} | {
        time_name(form, w, w in choices.native) for w in DEPTHWISE_CLASSES
    }
    return {name: 5.0 if name in chosen_ones else 10.0 for name in EQUAL}


@pytest.fixture(autouse=True)
def _calibrating(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(SWITCH)
    yield
    choose(DEFAULT_CHOICES)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads of each measurement, which finds that `OTHER` is faster."""
    calls: list[int] = []

    def fake(threads: int) -> dict[str, float]:
        calls.append(threads)
        return times_for(OTHER)

    monkeypatch.setattr(calibration, "measure", fake)
    return calls


def remember(runs_dir: Path, choices: CpuChoices) -> None:
    runs_dir.mkdir(parents=True, exist_ok=True)
    entry = asdict(Calibration(choices, times_for(choices)))
    (runs_dir / FILE_NAME).write_text(json.dumps({key(1): entry}))


@pytest.mark.parametrize("work", DEPTHWISE_CLASSES)
def test_an_alternative_must_be_a_tenth_faster(work: tuple[int, int, int]) -> None:
    assert decide(EQUAL) == DEFAULT_CHOICES
    name = time_name("channels_last", work, native=True)
    assert decide(EQUAL | {name: 9.1}) == DEFAULT_CHOICES
    assert decide(EQUAL | {name: 8.9}) == CpuChoices(native=(work,))


def test_the_other_memory_format_must_be_a_tenth_faster() -> None:
    slightly = {name: 9.1 if name.startswith("contiguous") else 10.0 for name in EQUAL}
    clearly = {name: 8.9 if name.startswith("contiguous") else 10.0 for name in EQUAL}
    assert decide(slightly) == DEFAULT_CHOICES
    assert decide(clearly) == CpuChoices("contiguous")
    assert decide(times_for(OTHER)) == OTHER
    # beside a default format that torch's own kernels make faster, too
    assert decide(clearly | {time_name("channels_last", w, True): 8.9 for w in DEPTHWISE_CLASSES}).native


def test_compiled_loops_are_taken_unless_they_are_a_tenth_slower() -> None:
    slow, fast = (EQUAL | LOOPS | {sums_name(COMPILED, compiled=True): ms} for ms in (11.2, 11.0))
    assert decide(slow) == DEFAULT_CHOICES
    assert decide(fast) == CpuChoices(compiled=True)
    work = (3, 1, 2)
    native = {time_name(COMPILED, work, native=True): 8.0}
    assert decide(fast | native) == CpuChoices(native=(work,), compiled=True)
    # where the loops are faster than torch's own, that is no longer taken
    assert decide(fast | native | {time_name(COMPILED, work, compiled=True): 7.0}) == CpuChoices(compiled=True)
    assert decide(slow | native | {time_name(COMPILED, work, compiled=True): 7.0}) == CpuChoices(native=(work,))


def test_measured_once_for_each_processor_and_number_of_threads(
    tmp_path: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recall(tmp_path, 1) == DEFAULT_CHOICES
    assert [calibrate(tmp_path, threads) for threads in (1, 1, 2)] == [OTHER] * 3
    assert measured == [1, 2]
    assert recall(tmp_path, 1) == OTHER
    monkeypatch.setattr(calibration, "device_name", lambda device: "another processor")
    assert recall(tmp_path, 1) == DEFAULT_CHOICES
    assert calibrate(tmp_path, 1) == OTHER
    assert measured == [1, 2, 1]
    assert len(json.loads((tmp_path / FILE_NAME).read_text())) == 3
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_switched_off(tmp_path: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    remember(tmp_path, OTHER)
    monkeypatch.setenv(SWITCH, "0")
    assert calibrate(tmp_path, 1) == calibrate(tmp_path, 2) == recall(tmp_path, 1) == DEFAULT_CHOICES
    assert measured == []


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe", b"[1]", json.dumps({key(1): 3}).encode(),
        json.dumps({key(1): {"choices": asdict(OTHER), "times_ms": {}}}).encode(),
        json.dumps({key(1): {"choices": {"native": [[7, 1, 1]]}, "times_ms": EQUAL}}).encode(),
        json.dumps({key(1): {"choices": {"memory_format": []}, "times_ms": EQUAL}}).encode(),
    ],
)  # fmt: skip
def test_a_broken_file_is_made_anew(content: bytes, tmp_path: Path, measured: list[int]) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert recall(tmp_path, 1) == DEFAULT_CHOICES
    assert calibrate(tmp_path, 1) == OTHER
    assert measured == [1]
    assert find(tmp_path, 1) == Calibration(OTHER, times_for(OTHER))


def test_measuring_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_alternatives, "SHAPE", (1, 4, 6, 6))
    choose(OTHER)
    before = torch.get_num_threads(), torch.get_rng_state()
    times = measure(threads=2)
    assert times.keys() == EQUAL.keys() | (LOOPS.keys() if find_spec("numba") else set())
    assert min(times.values()) > 0
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert chosen() == OTHER


def test_a_run_takes_what_was_measured_and_records_it(tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    (directory,) = tiny_runs("DARTS_V2")
    remember(directory.path.parent.parent, OTHER)
    assert execute(directory.path, "cpu") == DONE
    assert chosen() == OTHER
    assert directory.read_info().environment["cpu_choices"]["memory_format"] == "contiguous"


def test_without_a_measurement_a_run_takes_the_defaults(tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    (directory,) = tiny_runs("DARTS_V2")
    choose(OTHER)
    assert execute(directory.path, "cpu", StopAfter(2)) == INTERRUPTED
    assert chosen() == DEFAULT_CHOICES
    assert directory.read_info().environment["cpu_choices"] == {
        "memory_format": "channels_last",
        "native": [],
        "compiled": False,
    }


def test_a_run_with_compiled_loops_is_not_continued_without_them(
    tiny_runs: Callable[..., list[RunDirectory]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("numba")
    (directory,) = tiny_runs("DARTS_V2")
    monkeypatch.setattr(run, "recall", lambda *arguments: CpuChoices(compiled=True))
    assert execute(directory.path, "cpu", StopAfter(2)) == INTERRUPTED
    monkeypatch.setattr(run.compiled, "why_not", lambda: "numba is not installed")
    assert execute(directory.path, "cpu") == FAILED
    assert "begun with compiled loops, and numba is not installed: the bits would differ" in capsys.readouterr().err
    monkeypatch.undo()
    assert execute(directory.path, "cpu") == DONE
    assert directory.read_info().environment["cpu_choices"]["compiled"]


class Second(Group):
    """Process 1 of 2; process 0 sends `OTHER`."""

    def from_first(self, value: object) -> object:
        return OTHER


def test_every_process_of_a_run_takes_what_the_first_one_takes(
    tiny_runs: Callable[..., list[RunDirectory]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class LoadedError(Exception):
        pass

    def load(*arguments: object, **options: object) -> None:
        raise LoadedError

    (directory,) = tiny_runs("DARTS_V2")
    monkeypatch.setattr("bench.run.images.load", load)
    with pytest.raises(LoadedError):
        run._perform(SilentDirectory(directory.path), directory.read_info(), "cpu", StopFlag(), Second(1, 2))
    assert chosen() == OTHER


@pytest.mark.long
def test_killed_and_continued_beside_another_measurement(tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    """SIGKILL, and before the run goes on the file says something else, then nothing at all."""
    whole, cut = tiny_runs("darts", folder="whole")[0], tiny_runs("darts", folder="cut")[0]
    folders = [directory.path.parent.parent for directory in (whole, cut)]
    for folder in folders:
        remember(folder, OTHER)
    assert execute(whole.path, "cpu") == DONE
    kill(cut, "epoch-00000-step-0000002.pt")
    remember(folders[1], DEFAULT_CHOICES)
    kill(cut, "epoch-00000-step-0000004.pt")
    (folders[1] / FILE_NAME).unlink()
    assert execute(cut.path, "cpu") == DONE
    assert chosen() == OTHER
    assert outcome(cut) == outcome(whole)
    assert cut.read_info().environment["cpu_choices"] == whole.read_info().environment["cpu_choices"]


def test_a_run_begun_before_there_was_a_choice(tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    (directory,) = tiny_runs("DARTS_V2")
    assert execute(directory.path, "cpu", StopAfter(3)) == INTERRUPTED
    assert directory.checkpoints.exists()
    info = directory.read_info()
    del info.environment["cpu_choices"]
    directory.write_info(info)
    remember(directory.path.parent.parent, OTHER)
    assert execute(directory.path, "cpu") == DONE
    assert chosen() == DEFAULT_CHOICES


def test_recorded_choices_that_this_version_does_not_have(
    tiny_runs: Callable[..., list[RunDirectory]], capsys: pytest.CaptureFixture[str]
) -> None:
    (directory,) = tiny_runs("DARTS_V2")
    info = directory.read_info()
    info.environment["cpu_choices"] = {"native": [[7, 1, 1]]}
    directory.write_info(info)
    assert execute(directory.path, "cpu") == FAILED
    assert "environment.cpu_choices: no depthwise convolution is [(7, 1, 1)]" in capsys.readouterr().err


def test_what_other_processes_take_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleeping stands for waiting for a processor that they have."""
    monkeypatch.setattr(
        cpu_alternatives, "_alternatives", lambda: iter([("kept waiting", DEFAULT_CHOICES, partial(time.sleep, 0.02))])
    )
    assert measure(1)["kept waiting"] < 10
    assert measure(2)["kept waiting"] >= 20


def test_dasbench_run_measures_and_doctor_tells(
    tmp_path: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def text() -> str:
        return next(check.text for check in checks(tmp_path) if check.name == "calibration")

    monkeypatch.setattr(
        "bench.run.estimate.timings_of", lambda todo, *rest: {info.signature: Timing(1.0) for info in todo}
    )
    assert "the next `dasbench run` on it makes one" in text()
    command = ["run", str(TINY), "--runs-dir", str(tmp_path), "--device", "cpu", "--no-tracking"]
    assert main([*command, "--dry-run"]) == 0
    assert measured == [], "a dry run writes nothing, so it measures nothing"
    monkeypatch.setattr("bench.run.local.work", lambda queue, shown: None)
    for _ in range(2):
        assert main(command) == 1, "nothing was run"
    assert measured == [1]
    assert "threads 1: contiguous of channels_last 80.0 ms, contiguous 40.0 ms" in text()
    assert "5x5 stride 1 dilation 2, native 5.00 ms, else 10.00" in text()
