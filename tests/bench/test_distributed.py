"""Two processes (gloo, CPU) are one: the gradients of the whole batch, exact sums, one writer, exact resume."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor, nn

from bench.device.distributed import OutOfStepError, global_batch_norm, join, share_statistics
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory
from bench.run import loop
from bench.run.one_run import DONE, INTERRUPTED, execute, main
from methods.base import SearchContext
from methods.gradient.darts import DARTS
from methods.gradient.mgas.layers import GatedNorm
from methods.gradient.mgas.search import MGAS
from methods.registry import get_method
from tests.bench.image_folders import class_folders, experiment
from tests.bench.test_resume import mgas_searches, outcome
from tests.methods.mgas_nets import tiny_net

FORKS: Final = "forkserver"
"""Each process is a fork of one that has imported everything, once for this file."""
multiprocessing.set_forkserver_preload(["tests.conftest", __name__, "torch.fx.experimental.symbolic_shapes"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(rank: int, port: int) -> dict[str, str]:
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in names.items()}


def as_member(rank: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ |= environment(rank, port)
    work(join("cpu"), *arguments)


def in_two_processes(work: Callable[..., None], *arguments: Any) -> None:
    mp.start_processes(as_member, (free_port(), work, arguments), nprocs=2, start_method=FORKS)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4, affine=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5),
    ).double()  # fmt: skip


def batch(size: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(size, 3, 8, 8, dtype=torch.float64, generator=generator)
    return images, torch.randint(5, (size,), generator=generator)


def share(group: Any, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    first = -(-len(pair[0]) // group.size)  # of an odd number the first process takes one more
    rows = slice(first) if group.rank == 0 else slice(first, None)
    return pair[0][rows], pair[1][rows]


def check_gradients(group: Any, size: int) -> None:
    whole, own = network(), network()
    F.cross_entropy(whole(batch(size)[0]), batch(size)[1]).backward()
    share_statistics(own, group)
    images, labels = share(group, batch(size))
    group.weigh(len(labels), size)
    F.cross_entropy(own(images), labels).backward()
    group.average_gradients(own.parameters())
    for (name, one), two in zip(whole.named_parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(two.grad, one.grad, rtol=1e-10, atol=1e-14, msg=name)
    for (name, one), two in zip(whole.named_buffers(), own.buffers(), strict=True):
        torch.testing.assert_close(two, one, msg=name)
    own.eval()
    whole.eval()
    torch.testing.assert_close(own(images), whole(images))


@pytest.mark.parametrize("size", [7, pytest.param(8, marks=pytest.mark.long)])
def test_averaged_gradients_are_those_of_the_whole_batch(size: int) -> None:
    """Of an odd batch, too, as the last one of an epoch may be: every image weighs the same."""
    in_two_processes(check_gradients, size)


def check_search(group: Any, unrolled: bool) -> None:
    torch.manual_seed(0)
    options = DARTS.Options(epochs=1, channels=4, cells=3, batch_size=8, unrolled=unrolled)  # type: ignore[call-arg]
    whole = DARTS(options, SearchContext(5, 3, 8, "cifar"))
    whole.supernet.double()
    own = copy.deepcopy(whole)
    share_statistics(own.supernet, group)
    own.average = group.average
    for method, pair in ((whole, batch()), (own, share(group, batch()))):
        method.on_epoch_start(0)
        method.supernet.train()
        sums = method.step(pair, (pair[0].flip(-1), pair[1]))
        assert float(sums["count"]) == len(pair[0])
    names = dict(whole.supernet.named_parameters())
    assert any("alpha" in name for name in names)
    for name, parameter in own.supernet.named_parameters():
        torch.testing.assert_close(parameter, names[name], rtol=1e-6, atol=1e-9, msg=name)
    group.check_same(own.supernet)
    if group.rank == 1:
        with torch.no_grad():
            next(parameter for name, parameter in own.supernet.named_parameters() if "alpha" in name).add_(1e-6)
    with pytest.raises(OutOfStepError, match="parameters differ between the processes"):
        group.check_same(own.supernet)


@pytest.mark.parametrize(
    "unrolled", [pytest.param(False, id="first-order", marks=pytest.mark.long), pytest.param(True, id="second-order")]
)
def test_a_search_step_is_that_of_one_process_and_a_drifting_alpha_is_an_error(unrolled: bool) -> None:
    in_two_processes(check_search, unrolled)


def check_paths(group: Any, name: str) -> None:
    """Blocks that identities drop are drawn by each process for its own images, and so left out."""
    methods: list[Any] = []
    more = {"identity_drop": 0.0} if name == "msg_das" else {}
    for _ in range(2):
        torch.manual_seed(0)
        cls: Any = get_method(name)
        options = cls.Options(epochs=1, channels=4, cells=3, batch_size=8, **more)
        method = cls(options, SearchContext(5, 3, 8, "cifar", seed=3))
        method.supernet.double()
        method.to(torch.device("cpu"))
        methods.append(method)
    whole, own = methods
    share_statistics(own.supernet, group)
    own.average = group.average
    for method, pair in ((whole, batch()), (own, share(group, batch()))):
        method.on_epoch_start(0)
        method.supernet.train()
        for _ in range(2):
            method.step(pair, (pair[0].flip(-1), pair[1]))
    for (parameter, one), two in zip(whole.supernet.named_parameters(), own.supernet.parameters(), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-9, msg=parameter)
    assert own.counts.updates == whole.counts.updates
    group.check_same(own.supernet)


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("msg_das", "enas")]


@pytest.mark.parametrize("name", ["gdas", *LONG])
def test_processes_run_the_same_paths_and_take_the_step_of_one(name: str) -> None:
    in_two_processes(check_paths, name)


def check_slimmable(group: Any, name: str) -> None:
    """Both draw the same networks, of which each has the statistics of the whole batch."""
    methods: list[Any] = []
    for _ in range(2):
        torch.manual_seed(0)
        cls: Any = get_method(name)
        method = cls(cls.Options("chain_xs_widths", epochs=1, batch_size=8), SearchContext(5, 3, 8, "cifar", seed=3))
        method.supernet.double()
        methods.append(method)
    whole, own = methods
    share_statistics(own.supernet, group)
    own.average = group.average
    for method, pair in ((whole, batch()), (own, share(group, batch()))):
        method.begin(2)
        method.supernet.train()
        for _ in range(2):
            method.step(pair, None)
    for (key, one), two in zip(whole.supernet.state_dict().items(), own.supernet.state_dict().values(), strict=True):
        if "num_batches" not in key:
            torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-9, msg=key)
    group.check_same(own.supernet)


@pytest.mark.parametrize("name", ["mutualnet"])
def test_slimmable_networks_of_processes_are_those_of_one(name: str) -> None:
    in_two_processes(check_slimmable, name)


def check_mgas(group: Any) -> None:
    methods = []
    for _ in range(2):
        torch.manual_seed(0)
        options = MGAS.Options(channels=4, cells=3, batch_size=8, targets=(1000.0,), warmup_epochs=(0,))
        method = MGAS(options, SearchContext(5, 3, 8, "cifar"))
        method.supernet.double()
        method.supernet.strength.fill_(0.01)
        method._renew_optimizers({})
        methods.append(method)
    whole, own = methods
    share_statistics(own.supernet, group)
    own.average = group.average
    for method, pair in ((whole, batch()), (own, share(group, batch()))):
        method.supernet.train()
        for images, labels in (pair, (pair[0].flip(-1), pair[1])):
            method.step((images, labels))
    for (name, one), two in zip(whole.supernet.named_parameters(), own.supernet.parameters(), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-9, msg=name)
    for (name, one), two in zip(whole.supernet.named_buffers(), own.supernet.buffers(), strict=True):
        if "running" in name:
            torch.testing.assert_close(two, one, msg=name)
    for method in methods:  # what the controller decides by is the whole batch's as well
        method._control(0)
    assert own.progress == whole.progress
    torch.testing.assert_close(own.supernet.epoch_sums, whole.supernet.epoch_sums)


def test_mgas_takes_the_steps_of_one_process_and_decides_alike() -> None:
    in_two_processes(check_mgas)


def check_new_normalisations(group: Any) -> None:
    net = tiny_net()
    share_statistics(net, group)
    cell = net.cell(0)
    cell.commit_operations([(0, 1)])
    cell.revive((0, 1), torch.Generator().manual_seed(0))
    norms = [module for module in net.modules() if isinstance(module, GatedNorm)]
    assert not all(norm.batch_norm is global_batch_norm for norm in norms)
    share_statistics(net, group)
    assert all(norm.batch_norm is global_batch_norm for norm in norms)


def test_a_regrown_operation_shares_its_statistics_too() -> None:
    in_two_processes(check_new_normalisations)


@pytest.mark.long
def test_mgas_on_two_processes(tmp_path: Path) -> None:
    """Stopped between two commits and continued: the controller's sums are the whole batch's all the time."""
    alone, whole, cut = mgas_searches(tmp_path, "alone", "whole", "cut")
    assert execute(alone.path, "cpu") == DONE
    assert ends(run_in_two(whole)) == [DONE, DONE]
    one, two = ([line["values"] for line in directory.read_metrics()] for directory in (alone, whole))
    assert any(values["mgas/regrown"] for values in two)
    for mine, theirs in list(zip(two, one, strict=False))[:3]:  # later, rounding may tip a decision
        assert mine["mgas/lambda"] == pytest.approx(theirs["mgas/lambda"])
        assert mine["train/loss"] == pytest.approx(theirs["train/loss"], rel=1e-3)
    members = run_in_two(cut, checkpoint_seconds=0.0)
    while not list(Path(cut.checkpoints).glob("epoch-00002-step-0000002.pt")):
        assert members[0].is_alive()
        time.sleep(0.002)
    tell_to_stop(members[1])
    assert ends(members) == [INTERRUPTED, INTERRUPTED]
    assert ends(run_in_two(cut)) == [DONE, DONE]
    assert outcome(cut) == outcome(whole)


def as_run(rank: int, port: int, path: Path, checkpoint_seconds: float) -> None:
    """`python -m bench.run` under torchrun's names, in a process of its own."""
    os.environ |= environment(rank, port)
    loop.CHECKPOINT_SECONDS = checkpoint_seconds
    sys.exit(main([str(path), "--device", "cpu"]))


def run_in_two(
    directory: RunDirectory, checkpoint_seconds: float = loop.CHECKPOINT_SECONDS
) -> list[multiprocessing.Process]:
    port, context = free_port(), multiprocessing.get_context(FORKS)
    members = [context.Process(target=as_run, args=(rank, port, directory.path, checkpoint_seconds)) for rank in (0, 1)]
    for member in members:
        member.start()
    return members


def ends(members: list[multiprocessing.Process]) -> list[int | None]:
    """Their exit codes."""
    for member in members:
        member.join()
    return [member.exitcode for member in members]


def tell_to_stop(member: multiprocessing.Process) -> None:
    assert member.pid is not None
    os.kill(member.pid, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize(("row", "number"), [pytest.param("darts", 0, marks=pytest.mark.long), ("DARTS_V2", 0)])
def test_a_run_on_two_processes(row: str, number: int, tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    """As one process does it, up to rounding; interrupted in one of the two and continued, with the same bits."""
    alone, whole, cut = (tiny_runs(row, folder=name)[number] for name in ("alone", "whole", "cut"))
    assert execute(alone.path, "cpu") == DONE
    assert ends(run_in_two(whole)) == [DONE, DONE]
    one, two = alone.read_metrics(), whole.read_metrics()
    assert [line["epoch"] for line in two] == [line["epoch"] for line in one]
    result = whole.read_result()
    assert result is not None
    assert result["costs"]["images"] == alone.read_result()["costs"]["images"]  # type: ignore[index]
    assert result["costs"]["device_s"] == pytest.approx(2 * result["costs"]["wall_s"], rel=0.01)
    if row == "darts":  # without drop path the two are the same mathematics
        assert two[0]["values"]["train/loss"] == pytest.approx(one[0]["values"]["train/loss"], rel=1e-4)
        assert two[-1]["values"]["valid/loss"] == pytest.approx(one[-1]["values"]["valid/loss"], rel=1e-3)
    members = run_in_two(cut, checkpoint_seconds=0.0)
    while not list(Path(cut.checkpoints).glob("epoch-*.pt")):
        assert members[0].is_alive()
        time.sleep(0.01)
    tell_to_stop(members[1])  # one of them is told to stop: both do, after the same step
    assert ends(members) == [INTERRUPTED, INTERRUPTED]
    assert ends(run_in_two(cut)) == [DONE, DONE]
    assert outcome(cut) == outcome(whole)


@pytest.mark.long
def test_two_processes_on_image_files_are_killed_in_mid_epoch(tmp_path: Path) -> None:
    """Both by SIGKILL, in a search and in the training of what it found; continued, they have the same bits."""
    class_folders(tmp_path / "shapes" / "train", {"a": 12, "b": 8})
    class_folders(tmp_path / "shapes" / "val", {"a": 4, "b": 4})
    planned = plan(load_experiment(experiment(tmp_path, {"folder": "shapes"})), "tiny", ["darts"], [0])
    for info in planned[:2]:
        whole, killed = (RunDirectory(tmp_path / name / info.name) for name in ("whole", "killed"))
        for directory in (whole, killed):
            directory.create(replace(info))
        assert ends(run_in_two(whole)) == [DONE, DONE]
        members = run_in_two(killed, checkpoint_seconds=0.0)
        while not any(int(path.stem[-7:]) for path in Path(killed.checkpoints).glob("epoch-*.pt")):
            assert members[0].is_alive()
            time.sleep(0.002)
        for member in members:
            member.kill()
        assert ends(members) == [-signal.SIGKILL] * 2
        assert killed.read_result() is None
        assert ends(run_in_two(killed)) == [DONE, DONE]
        assert outcome(killed) == outcome(whole)
