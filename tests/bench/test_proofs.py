"""Fast paths that are wrong, do not compile or cannot be recorded are found out, named, and not taken.

Without a GPU, Triton interprets the kernels on CPU tensors, and a stand-in records steps.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.device import doctor, graph, proofs
from bench.device.distributed import ALONE
from bench.device.proofs import FILE_NAME, Verdict, find, key, prove, rely_on
from bench.records.directory import RunDirectory
from bench.run import one_run as run
from methods.parts.executors import kernels
from tests.bench.test_graph import FakeRecorder, FakeRecording

pytest.importorskip("triton")
DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
FIRST, STEP = "weighted_sum, fp32", "recorded step, fp32"


@pytest.fixture(autouse=True)
def _only_one_kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Interpreting is slow: the others have their turn in `test_a_kernel_that_is_wrong_on_purpose`."""
    monkeypatch.setattr(kernels, "why_not", lambda: None)
    monkeypatch.setattr(kernels, "NAMES", ("weighted_sum",))
    yield
    kernels.refuse(())
    graph.refuse(None)


def skewed(kernel: str) -> Callable[..., None]:
    """`kernels.launch`, after which what the named kernel has written is off by one part in a hundred."""
    plain = kernels.launch

    def launch(launched: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
        plain(launched, grid, *arguments, **constants)
        if launched.fn.__name__ == kernel:
            written = {"_depthwise_forward": 3, "_depthwise_input_gradient": 4, "_depthwise_weight_gradient": 3}
            written |= {"_norm_gradient": 3, "_weighted_sum_forward": 2, "_weighted_sum_reductions": 2}
            written |= {"_weighted_sum_gradients": 15, "_statistics_partial": 1, "_statistics_merge": 1}
            arguments[written[kernel]].mul_(1.01)

    return launch


OF = {
    "weighted_sum": ["_weighted_sum_forward", "_weighted_sum_reductions", "_weighted_sum_gradients"],
    "relu_depthwise": ["_depthwise_forward", "_depthwise_input_gradient", "_depthwise_weight_gradient"],
    "norm_relu_depthwise": ["_norm_gradient", "_statistics_partial", "_statistics_merge"],
}
PAIRS = [
    pytest.param(name, kernel, marks=[pytest.mark.long] if name != "weighted_sum" else [])
    for name, of in OF.items()
    for kernel in of
]


@pytest.mark.parametrize(("name", "kernel"), PAIRS)
def test_a_kernel_that_is_wrong_on_purpose(
    name: str, kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "NAMES", (name,))
    for module in ("depthwise", "weighted_sum", "statistics"):
        monkeypatch.setattr(f"methods.parts.executors.kernels.{module}.launch", skewed(kernel))
    verdict = prove(tmp_path, DEVICE, "fp32")[f"{name}, fp32"]
    assert not verdict.passed
    assert "of the largest value, allowed are 1e-04" in verdict.text


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.long) for n in OF if n != "weighted_sum"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_kernel_proves_itself(name: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "NAMES", (name,))
    verdict = prove(tmp_path, DEVICE, precision)[f"{name}, {precision}"]
    assert verdict.passed, verdict.text


def test_a_right_path_is_proven_once_and_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = FakeRecorder()
    made = prove(tmp_path, DEVICE, "fp32", recorder)
    assert {name: verdict.passed for name, verdict in made.items()} == {FIRST: True, STEP: True}
    assert "record" in recorder.log
    assert "replay" in recorder.log
    assert find(tmp_path, DEVICE) == made
    recorder.log.clear()
    assert prove(tmp_path, DEVICE, "fp32", recorder) == made
    assert not recorder.log, "it was proven again"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rely_on(made, "here")
    assert graph.why_not(torch.device("cuda"), 1) is None


def test_proving_draws_no_random_numbers_of_the_runs(tmp_path: Path) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    prove(tmp_path, DEVICE, "fp32", FakeRecorder())
    assert torch.equal(torch.rand(3), wanted)


def test_what_fails_is_not_taken_and_named_in_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("methods.parts.executors.kernels.weighted_sum.launch", skewed("_weighted_sum_forward"))
    made = prove(tmp_path, DEVICE, "fp32", FakeRecorder(error="operation not permitted when stream is capturing"))
    with pytest.warns(UserWarning, match="weighted_sum: differs by .*recorded step: cannot be recorded: oper") as seen:
        rely_on(made, "GPU")
    assert len(seen) == 1
    assert "not permitted" in str(graph.why_not(torch.device("cuda"), 1))
    state = torch.zeros(1, 1, 1, 1, device="meta")
    with kernels.noted(lambda name, tensors: None):  # on which the kernels would otherwise be taken
        assert not kernels.usable(state, [], 1)
        assert kernels.usable(state, [], 1, ["relu_depthwise"])
        rely_on({}, "another device, where all is well")
        assert kernels.usable(state, [], 1)


def test_a_kernel_that_does_not_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(*arguments: Any, **constants: Any) -> None:
        raise RuntimeError("PassManager::run failed\nat 12:4")

    monkeypatch.setattr("methods.parts.executors.kernels.weighted_sum.launch", launch)
    verdict = prove(tmp_path, DEVICE, "fp32")[FIRST]
    assert not verdict.passed
    assert verdict.text == "RuntimeError: PassManager::run failed"


class Stale(FakeRecording):
    """Replays nothing: the outputs stay those of the recording."""

    def replay(self) -> Any:
        self.outputs = self.outputs or self.work()
        return self.outputs


class StaleRecorder(FakeRecorder):
    def record(self, work: Callable[[], Any]) -> FakeRecording:
        return Stale(self, work)


def test_a_recorder_whose_replays_do_nothing(tmp_path: Path) -> None:
    verdict = prove(tmp_path, DEVICE, "fp32", StaleRecorder())[STEP]
    assert not verdict.passed
    assert "differs by" in verdict.text


def test_a_recorder_that_finds_an_obstacle(tmp_path: Path) -> None:
    verdict = prove(tmp_path, DEVICE, "fp32", FakeRecorder(obstacle="step.py:3 waits for the device"))[STEP]
    assert verdict.text == "cannot be recorded: step.py:3 waits for the device"


def test_the_small_training_has_recordings_of_two_lives() -> None:
    """One shape in between runs eagerly, and the recording goes on after it: what a last batch of an epoch does."""
    recorder = FakeRecorder()
    found = proofs._train(recorder, DEVICE, "fp32")
    assert not isinstance(found, str)
    assert recorder.log.count("replay") == 3
    assert recorder.log[-3:] == ["eager", "replay", "release"]


@pytest.mark.parametrize("content", ["", "[]", '{"KEY": 3}', '{"KEY": {"weighted_sum, fp32": {"passed": "perhaps"}}}'])
def test_a_damaged_file_is_made_anew(content: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(content.replace("KEY", key(DEVICE)))
    assert find(tmp_path, DEVICE) == {}
    assert prove(tmp_path, DEVICE, "fp32") == find(tmp_path, DEVICE) != {}


def test_verdicts_of_other_versions_are_kept_and_not_used(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({"another": {FIRST: asdict(Verdict(False, "wrong", 1.0))}}))
    assert prove(tmp_path, DEVICE, "fp32")[FIRST].passed
    assert set(json.loads((tmp_path / FILE_NAME).read_text())) == {"another", key(DEVICE)}


def test_a_run_goes_by_the_verdicts_it_was_begun_with(
    tiny_runs: Callable[..., list[RunDirectory]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {FIRST: Verdict(False, "differs", 0.5)}
    monkeypatch.setattr(proofs, "prove", lambda *arguments: made)
    directory = tiny_runs("darts")[0]
    info = directory.read_info()
    with pytest.warns(UserWarning, match="weighted_sum: differs"):
        recorded = run._fast_paths(directory, info, DEVICE, ALONE)
    assert recorded == {FIRST: asdict(made[FIRST])}
    info.environment["fast_paths"] = recorded
    directory.checkpoints.mkdir()
    (directory.checkpoints / "epoch-00001.pt").touch()
    monkeypatch.setattr(proofs, "prove", lambda *arguments: {FIRST: Verdict(True, "fine now", 0.5)})
    with pytest.warns(UserWarning, match="weighted_sum: differs"):
        assert run._fast_paths(directory, info, DEVICE, ALONE) == recorded


def test_the_doctor_shows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(proofs, "key", lambda device: "this GPU")
    assert "not yet proven" in next(doctor._proofs(tmp_path)).text
    entries = {FIRST: asdict(Verdict(False, "differs by 1e-01", 0.5)), STEP: asdict(Verdict(True, "fine", 0.25))}
    (tmp_path / FILE_NAME).write_text(json.dumps({"this GPU": entries}))
    first, second = doctor._proofs(tmp_path)
    assert (first.name, first.good, first.text) == ("proof of weighted_sum, fp32", False, "differs by 1e-01, in 0.5 s")
    assert (second.name, second.good) == ("proof of recorded step, fp32", True)
