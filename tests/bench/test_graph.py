"""Steps as graphs: every batch once and in order, when a recording is made anew, and what happens when none can be.

No GPU is needed: the recorder here keeps the function and runs it on the recorded buffers when it is replayed. As on a
GPU, recording runs nothing, replaying overwrites the same outputs, and constants are those of the recording.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.data.augment import get_augmentation
from bench.data.batches import Batches, evaluation_batches
from bench.data.datasets import load
from bench.device import graph as graph_module
from bench.device.engine import Engine
from bench.device.graph import WARM_UP, CaptureError, GraphedStep, why_not
from bench.plan.recipe import load_recipe
from bench.records.directory import RunDirectory
from bench.run import one_run as run_module
from bench.run.loop import Loop
from bench.run.one_run import DONE, INTERRUPTED, execute
from bench.run.search import gradient_search
from bench.run.train import train
from bench.speed.cases import SIZES, cases
from bench.speed.measure import measure
from methods.base import SearchContext
from methods.genotypes import published
from methods.gradient.darts import DARTS, DARTSOptions
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.search import MGAS
from methods.parts.executors.choice import Choice
from methods.spaces import NetworkSettings, build
from tests.bench.test_resume import StopAfter, outcome

CPU = torch.device("cpu")
DIGITS = load("digits")


class FakeRecording:
    def __init__(self, recorder: FakeRecorder, work: Callable[[], Any]) -> None:
        self.recorder, self.work, self.outputs, self.released = recorder, work, None, False

    def replay(self) -> Any:
        assert not self.released, "a released recording must not be replayed"
        found = self.work()
        self.recorder.log.append("replay")
        if self.outputs is None:
            self.outputs = found
        for name, value in found.items():
            self.outputs[name].copy_(value)
        return self.outputs

    def release(self) -> None:
        self.released = True
        self.recorder.log.append("release")


class FakeRecorder:
    """Keeps a log of what it was asked for."""

    def __init__(self, error: str | None = None, obstacle: str | None = None) -> None:
        self.log: list[str] = []
        self.error, self.obstacle = error, obstacle

    def eager(self, work: Callable[[], Any]) -> Any:
        self.log.append("eager")
        return work()

    def rehearse(self, work: Callable[[], Any]) -> tuple[Any, str | None]:
        return self.eager(work), self.obstacle

    def record(self, work: Callable[[], Any]) -> FakeRecording:
        if self.error:
            raise CaptureError(self.error)
        self.log.append("record")
        return FakeRecording(self, work)


class Steps:
    """A step that remembers what it saw: the first image value of every batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def __call__(self, images: Tensor, more: Any = None) -> dict[str, Tensor]:
        self.seen.append(float(images.flatten()[0]))
        return {"loss_sum": images.sum()}


def batch(value: float, size: int = 4) -> Tensor:
    return torch.full((size, 2), value)


def test_every_batch_is_stepped_once_and_in_order() -> None:
    steps, recorder = Steps(), FakeRecorder()
    step = GraphedStep(steps, recorder)
    results = [step(batch(n), None)["loss_sum"].item() for n in range(8)]
    assert steps.seen == [0, 1, 2, 3, 4, 5, 6, 7]
    assert results == [8.0 * n for n in range(8)]
    assert recorder.log == ["eager"] * WARM_UP + ["record"] + ["replay"] * 5


def test_a_smaller_last_batch_runs_eagerly_and_the_recording_stays() -> None:
    steps, recorder = Steps(), FakeRecorder()
    step = GraphedStep(steps, recorder)
    for size in [4, 4, 4, 4, 3, 4, 4, 3, 4]:
        step(batch(1.0, size))
    assert recorder.log[3:] == ["record", "replay", "eager", "replay", "replay", "eager", "replay"]


def test_another_shape_that_stays_is_recorded_instead() -> None:
    recorder = FakeRecorder()
    step = GraphedStep(Steps(), recorder)
    for size in [4] * 5 + [3] * 5:
        step(batch(1.0, size))
    assert recorder.log[5:] == ["replay", *["eager"] * 3, "release", "record", "replay", "replay"]


def test_constants_and_topology_make_a_new_recording() -> None:
    recorder = FakeRecorder()
    step = GraphedStep(Steps(), recorder)
    for constant in [0.1] * 5 + [0.2] * 4:
        step(batch(1.0), constants=constant)
    step.renew()
    step(batch(1.0), constants=0.2)
    first = ["eager"] * 3 + ["record", "replay", "replay"]
    assert recorder.log == [*first, "release", *["eager"] * 3, "record", "replay", "release", "eager"]


@pytest.mark.parametrize("recorder", [FakeRecorder(error="no"), FakeRecorder(obstacle="no")])
def test_what_cannot_be_recorded_runs_eagerly_and_says_so_once(recorder: FakeRecorder) -> None:
    steps, reasons = Steps(), []
    step = GraphedStep(steps, recorder, reasons.append)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for n in range(7):
            step(batch(n))
    assert steps.seen == [0, 1, 2, 3, 4, 5, 6]
    assert reasons == ["no"]
    assert len(seen) == 1
    assert "runs eagerly" in str(seen[0].message)
    assert "DASBENCH_CUDA_GRAPHS=0" in str(seen[0].message)


def test_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda:0")
    assert why_not(gpu, 1) is None
    assert "several processes" in str(why_not(gpu, 2))
    assert "GPU" in str(why_not(CPU, 1))
    monkeypatch.setenv("DASBENCH_CUDA_GRAPHS", "0")
    assert why_not(gpu, 1) == "DASBENCH_CUDA_GRAPHS=0"


def make_batches(count: int, size: int) -> Batches:
    chosen = get_augmentation("crop", DIGITS.info)
    return Batches(DIGITS.train.images[:count], DIGITS.train.labels[:count], size, chosen, seed=1)


def trained(engine: Engine, folder: Path, **changes: Any) -> dict[str, Tensor]:
    """A training whose epochs are six full batches and a smaller one."""
    torch.manual_seed(3)
    network = build(published("DARTS_V2"), 10, NetworkSettings(4, 3, in_channels=1))
    options = {"epochs": 3, "batch_size": 8, "lr": 0.1, "augmentation": "crop", "drop_path": 0.3, **changes}
    recipe = load_recipe("plain-cifar", options)
    plain = get_augmentation("none", DIGITS.info)
    held_out = evaluation_batches(DIGITS.train.images[96:112], DIGITS.train.labels[96:112], 16, plain)

    def make_loop(parts: dict[str, Any]) -> Loop:
        return Loop(RunDirectory(folder), "sig", 0, engine, parts)

    folder.mkdir()
    train(network, recipe, make_batches(51, 8), held_out, engine, make_loop, num_classes=10)
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_training_is_the_same_and_records_again_when_a_rate_or_drop_path_changes(tmp_path: Path) -> None:
    recorder = FakeRecorder()
    found = trained(Engine(CPU, recorder=recorder), tmp_path / "graph")
    assert same(found, trained(Engine(CPU), tmp_path / "eager"))
    epoch = ["eager"] * 3 + ["record"] + ["replay"] * 3 + ["eager"]
    assert recorder.log == [*epoch, "release", *epoch, "release", *epoch]


def test_a_rate_in_a_tensor_needs_no_new_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `make_optimizer` has it on a GPU; drop path is off in the first epoch, on from the second."""

    def with_tensor(network: nn.Module, recipe: Any) -> torch.optim.Optimizer:
        rate = torch.tensor(recipe.lr)
        return torch.optim.SGD(
            network.parameters(), rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )

    monkeypatch.setattr("bench.run.train.make_optimizer", with_tensor)
    recorder = FakeRecorder()
    found = trained(Engine(CPU, recorder=recorder), tmp_path / "graph", epochs=4)
    assert recorder.log.count("record") == 2
    assert same(found, trained(Engine(CPU), tmp_path / "eager", epochs=4))


class Changing(DARTS):
    """A search whose topology changes at the second epoch."""

    def on_epoch_start(self, epoch: int) -> bool:
        return super().on_epoch_start(epoch) or epoch == 1


def test_search_is_the_same_and_records_again_when_the_topology_changes(tmp_path: Path) -> None:
    found = []
    recorder = FakeRecorder()
    for name, engine in [("graph", Engine(CPU, recorder=recorder)), ("eager", Engine(CPU))]:
        torch.manual_seed(0)
        context = SearchContext(num_classes=10, in_channels=1, image_size=8)
        options = DARTSOptions(epochs=3, channels=2, cells=3, batch_size=8, unrolled=False)
        method = Changing(options, context)
        (tmp_path / name).mkdir()

        def make_loop(parts: dict[str, Any], name: str = name, engine: Engine = engine) -> Loop:
            return Loop(RunDirectory(tmp_path / name), "sig", 0, engine, parts)

        gradient_search(method, make_batches(43, 8), make_batches(40, 8), None, engine, make_loop)
        lines = RunDirectory(tmp_path / name).read_metrics()
        found.append((method.supernet.state_dict(), [line["values"]["train/loss"] for line in lines]))
    assert same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert recorder.log.count("record") == 2
    assert recorder.log.count("release") == 1
    assert recorder.log.count("replay") + recorder.log.count("eager") == 18


@pytest.mark.parametrize("row", [pytest.param("darts", marks=pytest.mark.long), "DARTS_V2"])
def test_stopped_in_the_middle_of_replays_and_continued_with_the_same_bits(
    row: str, tiny_runs: Callable[..., list[RunDirectory]], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorders: list[FakeRecorder] = []

    def make_engine(device: torch.device, *more: Any) -> Engine:
        recorders.append(FakeRecorder())
        return Engine(device, recorder=recorders[-1])

    monkeypatch.setattr(graph_module, "WARM_UP", 1)
    whole, cut = tiny_runs(row, folder="whole")[0], tiny_runs(row, folder="cut")[0]
    assert execute(whole.path, "cpu") == DONE
    monkeypatch.setattr(run_module, "make_engine", make_engine)
    while execute(cut.path, "cpu", StopAfter(4)) == INTERRUPTED:
        pass
    assert len(recorders) > 2
    assert sum(recorder.log.count("replay") for recorder in recorders) > 2
    assert outcome(cut) == outcome(whole)


def test_why_a_step_was_not_recorded_stands_in_the_record(
    tiny_runs: Callable[..., list[RunDirectory]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_engine(device: torch.device, *more: Any) -> Engine:
        return Engine(device, recorder=FakeRecorder(obstacle="line 7 waits"), remark=more[-1])

    monkeypatch.setattr(graph_module, "WARM_UP", 1)
    monkeypatch.setattr(run_module, "make_engine", make_engine)
    (directory, *_) = tiny_runs("DARTS_V2")
    with pytest.warns(UserWarning, match="line 7 waits"):
        assert execute(directory.path, "cpu") == DONE
    assert directory.read_info().environment["cuda_graph"] == "off: line 7 waits"


def test_a_network_that_branches_on_the_host_is_not_recorded() -> None:
    said: dict[str, str] = {}
    engine = Engine(CPU, recorder=FakeRecorder(), remark=said.__setitem__)
    assert engine.graphed(dict, torch.nn.Linear(1, 1)).recorder is engine.recorder
    assert not said
    assert engine.graphed(dict, torch.nn.Sequential(Choice([torch.nn.Identity()]))).recorder is None
    assert said["cuda_graph"].startswith("off: each step decides on the host")


def test_sums_do_not_share_memory_with_what_a_step_returned(tmp_path: Path) -> None:
    loop = Loop(RunDirectory(tmp_path), "sig", 0, Engine(CPU), {})
    output = torch.ones((), dtype=torch.float64)
    loop.add({"loss_sum": output})
    output.fill_(5.0)
    assert loop.sums["loss_sum"] == 1.0


def test_mixed_precision_sees_weights_that_a_step_changes_between_two_forward_passes() -> None:
    layer, images = nn.Linear(2, 2), torch.ones(1, 2)
    with Engine(CPU, "bf16").autocast():
        before = layer(images)
        with torch.no_grad():
            layer.weight.add_(1.0)
        after = layer(images)
    torch.testing.assert_close(after - before, torch.full_like(after, 2.0), rtol=0, atol=0.1)


class StrictRecorder(FakeRecorder):
    """A graph reads and writes the memory it was recorded with: a replay in another state is an error."""

    def __init__(self, state: Callable[[], Any]) -> None:
        super().__init__()
        self.state = state

    def record(self, work: Callable[[], Any]) -> FakeRecording:
        recorded = self.state()

        def replayed() -> Any:
            assert self.state() == recorded, "replayed after the topology has changed"
            return work()

        return super().record(replayed)


@pytest.mark.long
def test_a_search_through_all_phases_of_mgas_never_replays_a_stale_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_module, "WARM_UP", 1)
    options = MGASOptions(
        channels=4, cells=3, batch_size=16, targets=[18000, 12000], autoaugment=False, warmup_epochs=[1],
        commit_interval=1, phase_epochs=[3, 3, 3, 4], max_epochs=13, stage_ratios=[0.6], threshold_pace=60.0,
        lambda_delta=5e-3, weight_lr=0.05,
    )  # fmt: skip
    torch.manual_seed(0)
    method = MGAS(options, SearchContext(num_classes=10, in_channels=1, image_size=8))

    def state() -> Any:
        net, progress = method.supernet, method.progress
        tensors = [*net.parameters(), *net.buffers(), *method.optimizers.momentum().values()]
        tensors += [table for cell in net.executed(2) for table in (cell.filters.mask, cell.weights.mask)]
        warm = progress.epoch < method.phase.warmup
        return [(tensor.data_ptr(), tensor.shape) for tensor in tensors], progress.phase, net.stage, warm

    recorder = StrictRecorder(state)
    engine = Engine(CPU, recorder=recorder)

    def make_loop(parts: dict[str, Any]) -> Loop:
        return Loop(RunDirectory(tmp_path), "sig", 0, engine, parts)

    held_out = evaluation_batches(
        DIGITS.train.images[96:128], DIGITS.train.labels[96:128], 32, get_augmentation("none", DIGITS.info)
    )
    gradient_search(method, make_batches(64, 16), None, held_out, engine, make_loop)
    assert recorder.log.count("record") > 5
    assert recorder.log.count("replay") > recorder.log.count("record")


def test_speed_times_the_step_as_the_loops_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "small", {"darts-201": (2, 1, 4), "retrain": (4, 3, 4)})
    engine = Engine(CPU, recorder=FakeRecorder())
    limits = {"flops_per_s": 1e9, "bytes_per_s": 1e9}
    made = cases(["darts-201", "retrain"], "small", engine, oracle=False)
    rows = [row for case in made for row in measure([case], engine, 2, limits)]
    assert [row["graph"] for row in rows] == ["yes", "yes"]
    assert all(row["eager_ms"] > 0 and row["operations"] > 100 for row in rows)
    assert engine.recorder.log.count("release") == 2
