"""Two processes (gloo, CPU) are one: the gradients of the whole batch, exact sums, one writer, exact resume."""

from __future__ import annotations

import copy
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor, nn

from bench.distributed import OutOfStepError, join, share_statistics
from bench.records import RunDirectory
from bench.run import DONE, INTERRUPTED, execute
from methods.base import SearchContext
from methods.darts import DARTS
from tests.bench.test_resume import outcome


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
    mp.spawn(as_member, (free_port(), work, arguments), nprocs=2)


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
    size = len(pair[0]) // group.size
    rows = slice(group.rank * size, (group.rank + 1) * size)
    return pair[0][rows], pair[1][rows]


def check_gradients(group: Any) -> None:
    whole, own = network(), network()
    F.cross_entropy(whole(batch()[0]), batch()[1]).backward()
    share_statistics(own, group)
    images, labels = share(group, batch())
    F.cross_entropy(own(images), labels).backward()
    group.average_gradients(own.parameters())
    for (name, one), two in zip(whole.named_parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(two.grad, one.grad, rtol=1e-10, atol=1e-14, msg=name)
    for (name, one), two in zip(whole.named_buffers(), own.buffers(), strict=True):
        torch.testing.assert_close(two, one, msg=name)
    own.eval()
    whole.eval()
    torch.testing.assert_close(own(images), whole(images))


def test_averaged_gradients_are_those_of_the_whole_batch() -> None:
    in_two_processes(check_gradients)


def check_search(group: Any) -> None:
    torch.manual_seed(0)
    options = DARTS.Options(epochs=1, channels=4, cells=3, batch_size=8)  # type: ignore[call-arg]
    whole = DARTS(options, SearchContext(5, 3, 8, "cifar"))
    whole.supernet.double()
    own = copy.deepcopy(whole)
    share_statistics(own.supernet, group)
    own.reduce_gradients = group.average_gradients
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


def test_a_search_step_is_that_of_one_process_and_a_drifting_alpha_is_an_error() -> None:
    in_two_processes(check_search)


def run_in_two(directory: RunDirectory, **more: str) -> list[subprocess.Popen[bytes]]:
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "bench.run", str(directory.path), "--device", "cpu"]
    return [subprocess.Popen(command, env={**os.environ, **environment(rank, port), **more}) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize(("row", "number"), [("darts", 0), ("DARTS_V2", 0)])
def test_a_run_on_two_processes(row: str, number: int, tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    """As one process does it, up to rounding; interrupted in one of the two and continued, with the same bits."""
    alone, whole, cut = (tiny_runs(row, folder=name)[number] for name in ("alone", "whole", "cut"))
    assert execute(alone.path, "cpu") == DONE
    assert [member.wait() for member in run_in_two(whole)] == [DONE, DONE]
    one, two = alone.read_metrics(), whole.read_metrics()
    assert [line["epoch"] for line in two] == [line["epoch"] for line in one]
    result = whole.read_result()
    assert result is not None
    assert result["costs"]["images"] == alone.read_result()["costs"]["images"]  # type: ignore[index]
    assert result["costs"]["device_s"] == pytest.approx(2 * result["costs"]["wall_s"], rel=0.01)
    if row == "darts":  # without drop path the two are the same mathematics
        assert two[0]["values"]["train/loss"] == pytest.approx(one[0]["values"]["train/loss"], rel=1e-4)
        assert two[-1]["values"]["valid/loss"] == pytest.approx(one[-1]["values"]["valid/loss"], rel=1e-3)
    members = run_in_two(cut, DASBENCH_CHECKPOINT_SECONDS="0")
    while not list(Path(cut.checkpoints).glob("epoch-*.pt")):
        assert members[0].poll() is None
        time.sleep(0.01)
    members[1].send_signal(signal.SIGTERM)  # one of them is told to stop: both do, after the same step
    assert [member.wait() for member in members] == [INTERRUPTED, INTERRUPTED]
    assert [member.wait() for member in run_in_two(cut)] == [DONE, DONE]
    assert outcome(cut) == outcome(whole)
