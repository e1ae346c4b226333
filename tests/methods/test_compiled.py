"""Compiled loops compute what the plain functions compute: values, gradients, running statistics."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.run.cost import fvcore_macs
from methods.architecture import Architecture
from methods.genotypes import published
from methods.parts import compiled
from methods.parts.convolution import pointwise, split_channels
from methods.parts.cpu_choices import DEFAULT_CHOICES, CpuChoices, choose, choosing, chosen
from methods.parts.executors.weighted_sum import weighted_sum
from methods.parts.pooling import average_pool, max_pool
from methods.spaces import NetworkSettings, build
from tests.methods import test_cell_supernet
from tests.methods.test_cell_supernet import compare, pair

pytest.importorskip("numba")
SIZES = [(3, 5, 7), (40, 6, 6), (1, 2, 1)]
"""Batch, height and width: less than one tile of pixels, some and a part of one, two pixels."""


@pytest.fixture(autouse=True)
def _compiled_in_double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    choose(CpuChoices(compiled=True))
    yield
    torch.set_default_dtype(torch.float32)
    choose(DEFAULT_CHOICES)


def leaf(batch: int, channels: int, height: int, width: int, layout: torch.memory_format) -> Tensor:
    return torch.randn(batch, channels, height, width).contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("edges", "candidates", "shared"), [(5, 4, 3), (1, 5, 2), (2, 0, 1)])
@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_weighted_sum(
    batch: int, height: int, width: int, edges: int, candidates: int, shared: int, layout: torch.memory_format
) -> None:
    channels = 3
    zs = [leaf(batch, edges * channels, height, width, layout) for _ in range(candidates)]
    xs = [leaf(batch, channels, height, width, layout) for _ in range(shared)]
    before = leaf(batch, (1 + edges) * channels, height, width, layout)
    weights = torch.rand(edges, candidates + shared, requires_grad=True)
    norms = [nn.BatchNorm2d(edges * channels, affine=False) for _ in zs]
    shared_norms = [nn.BatchNorm2d(channels, affine=False) for _ in xs[:-1]]
    twins, shared_twins = deepcopy((norms, shared_norms))
    gradient = torch.randn(batch, edges * channels, height, width)
    arrived = split_channels(before, [channels, edges * channels])[1] if layout == torch.channels_last else None
    given = [z + 3 for z in zs]
    found = weighted_sum(weights, given, norms, xs, shared_norms, arrived)
    with choosing(replace(chosen(), compiled=False)):
        wanted = weighted_sum(weights, given, twins, xs, shared_twins, arrived)
    assert "Compiled" in type(found.grad_fn).__name__
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    leaves = [weights, *zs, *xs, *([] if arrived is None else [before])]
    gradients = (torch.autograd.grad(y, leaves, gradient) for y in (found, wanted))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip([*norms, *shared_norms], [*twins, *shared_twins], strict=True):
        for name in ("running_mean", "running_var"):
            torch.testing.assert_close(getattr(mine, name), getattr(theirs, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_normalised_and_rectified(batch: int, height: int, width: int) -> None:
    from methods.parts.compiled.rectified import norm_relu

    z = leaf(batch, 6, height, width, torch.channels_last)
    norm = nn.BatchNorm2d(6, affine=False)
    twin = deepcopy(norm)
    found, wanted = norm_relu(norm, z), twin(z).relu()
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    gradient = torch.randn_like(z)
    mine, theirs = (torch.autograd.grad(y, z, gradient)[0] for y in (found, wanted))
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(norm.running_var, twin.running_var, rtol=1e-9, atol=1e-9)


def test_statistics_in_single_precision() -> None:
    """Of a mean a thousand standard deviations from zero, and of a first pixel thirty away from the mean."""
    from methods.parts.compiled.layout import flat
    from methods.parts.compiled.statistics import batch_statistics

    z = torch.randn(32, 4, 16, 16).contiguous(memory_format=torch.channels_last)
    z[:, 1:3] += 1000
    z[0, 2:, 0, 0] += 30
    z = z.float()
    mean, inverse = batch_statistics(nn.BatchNorm2d(4, affine=False, dtype=torch.float32), flat(z))
    exact = z.double()
    torch.testing.assert_close(torch.from_numpy(mean).double(), exact.mean((0, 2, 3)), rtol=1e-6, atol=1e-5)
    wanted = (exact.var((0, 2, 3), correction=0) + 1e-5).rsqrt()
    torch.testing.assert_close(torch.from_numpy(inverse).double(), wanted, rtol=1e-4, atol=0)


def test_more_candidates_than_the_loops_take_are_summed_by_torch() -> None:
    zs, norms = [leaf(2, 4, 3, 3, torch.channels_last) for _ in range(6)], [nn.BatchNorm2d(4, affine=False)] * 6
    y = weighted_sum(torch.rand(2, 7, requires_grad=True), zs, norms, [leaf(2, 2, 3, 3, torch.channels_last)])
    assert type(y.grad_fn).__name__ == "_WeightedSumBackward"


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_rectified_and_repeated(batch: int, height: int, width: int) -> None:
    from methods.parts.compiled.rectified import relu_repeat

    x = leaf(batch, 3, height, width, torch.channels_last)
    found, wanted = relu_repeat(x, 4), torch.cat([x.relu()] * 4, dim=1)
    assert torch.equal(found, wanted)
    gradient = torch.randn_like(wanted)
    mine, theirs = (torch.autograd.grad(y, x, gradient)[0] for y in (found, wanted))
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_one_channel_of_many() -> None:
    """Its numbers lie apart in memory, though one after the other as the loops take them."""
    x = leaf(2, 5, 3, 3, torch.channels_last)[:, :1]
    weights, z = torch.rand(2, 2), leaf(2, 2, 3, 3, torch.channels_last)
    norms = [nn.BatchNorm2d(2, affine=False) for _ in range(2)]
    found = weighted_sum(weights, [z], norms[:1], [x])
    with choosing(replace(chosen(), compiled=False)):
        torch.testing.assert_close(found, weighted_sum(weights, [z], norms[1:], [x]), rtol=1e-9, atol=1e-9)
        pooled = max_pool(x, 3, 1)
    assert torch.equal(max_pool(x, 3, 1), pooled)


@pytest.mark.parametrize(("edges", "channels"), [(4, 1), (1, 2), (3, 2), (2, 3), (5, 4)])
@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_pointwise(batch: int, height: int, width: int, edges: int, channels: int) -> None:
    x = leaf(batch, edges * channels, height, width, torch.channels_last)
    weight = torch.randn(edges, channels, channels, requires_grad=True)
    found = pointwise(x, weight)
    with choosing(replace(chosen(), compiled=False)):
        wanted = pointwise(x, weight)
    assert type(found.grad_fn).__name__ == "_PointwiseBackward"
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    gradient = torch.randn_like(found)
    for mine, theirs in zip(*(torch.autograd.grad(y, [x, weight], gradient) for y in (found, wanted)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)
    wider = pointwise(leaf(1, 5, 2, 2, torch.channels_last), torch.ones(1, 5, 5))
    assert type(wider.grad_fn).__name__ == "ConvolutionBackward0"


@pytest.mark.parametrize("pool", [max_pool, average_pool])
@pytest.mark.parametrize(("batch", "height", "width"), [*SIZES, (2, 1, 1), (2, 5, 1), (2, 1, 4)])
def test_pools(batch: int, height: int, width: int, pool: Callable[[Tensor, int, int], Tensor]) -> None:
    """Of numbers many of which are equal: the first of the largest takes the gradient."""
    x = torch.randint(3, (batch, 5, height, width)).double()
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    found = pool(x, 3, 1)
    with choosing(replace(chosen(), compiled=False)):
        wanted = pool(x, 3, 1)
    assert type(found.grad_fn).__name__ in ("_MaxPoolBackward", "_AveragePoolBackward")
    torch.testing.assert_close(found, wanted, rtol=1e-15, atol=1e-15)
    gradient = torch.randn_like(x)
    mine, theirs = (torch.autograd.grad(y, x, gradient)[0] for y in (found, wanted))
    torch.testing.assert_close(mine, theirs, rtol=1e-14, atol=1e-14)


def test_pools_without_loops() -> None:
    """What is not trained, and other kernels and strides."""
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    for pool in (max_pool, average_pool):
        assert pool(x.detach(), 3, 1).grad_fn is None
        for sizes in ((3, 2), (5, 1)):
            assert type(pool(x, *sizes).grad_fn).__name__ in ("MaxPool2DWithIndicesBackward0", "AvgPool2DBackward0")


@pytest.mark.parametrize("share", [1, 2])
def test_the_supernet_equals_the_textbook(share: int) -> None:
    fast, oracle = pair(4, 3, share, share > 1)
    compare(fast, oracle, torch.randn(4, 3, 8, 8), torch.randint(10, (4,)))


@pytest.mark.parametrize("share", [1, 4])
def test_recomputing_changes_nothing(share: int) -> None:
    test_cell_supernet.test_recomputing_changes_nothing(share)


def test_what_is_not_a_number_stays_that() -> None:
    """A search that diverges must be seen to: a rectifier that answers zero would hide it."""
    from methods.parts.compiled.rectified import norm_relu, relu_repeat

    x = torch.ones(2, 1, 4, 4)
    x[0, 0, 0, 0] = math.nan
    assert relu_repeat(x, 2)[0, :, 0, 0].isnan().all()
    for pool in (max_pool, average_pool):
        assert pool(x.clone().requires_grad_(), 3, 1).isnan().sum() == 4
    assert norm_relu(nn.BatchNorm2d(1, affine=False), x).isnan().all()


def test_a_network_is_counted_as_ever() -> None:
    """The counter traces it, where sizes are no numbers; on pools of stride 1, too."""
    normal = [
        ["max_pool_3x3", 0, 2],
        ["avg_pool_3x3", 1, 2],
        *(["skip_connect", s, n] for n in (3, 4, 5) for s in (0, 1)),
    ]
    cells = published("DARTS_V2").genotype
    cells = {**cells, "normal": {**cells["normal"], "edges": normal}}
    network = build(Architecture("darts_cell", cells), 10, NetworkSettings(channels=4, cells=3, stem="cifar"))
    found = fvcore_macs(network, (3, 16, 16))
    choose(DEFAULT_CHOICES)
    assert found == fvcore_macs(network, (3, 16, 16))


@pytest.mark.long
def test_what_is_kept_on_disk_and_damaged_is_made_anew(tmp_path: Path) -> None:
    kept = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    work = "from methods.parts import compiled; compiled.load()"
    command = [sys.executable, "-c", work]
    subprocess.run(command, env=os.environ | kept, check=True)
    files = list(tmp_path.rglob("*.nbc"))
    assert len(files) > 10
    whole = {path: path.stat().st_size for path in files}
    for path in files:
        path.write_bytes(path.read_bytes()[:100])
    subprocess.run(command, env=os.environ | kept, check=True)
    assert {path: path.stat().st_size for path in files} == pytest.approx(whole, rel=0.1)


def test_only_in_training_of_one_process_in_a_precision_they_have() -> None:
    x, norm = torch.randn(2, 4, 3, 3), nn.BatchNorm2d(4, affine=False)
    assert compiled.usable(x, [norm])
    assert not compiled.usable(x.bfloat16(), [norm])
    assert not compiled.usable(x, [nn.SyncBatchNorm(4)])
    assert not compiled.usable(x, [norm.eval()])
    choose(DEFAULT_CHOICES)
    assert not compiled.usable(x)
    with pytest.raises(ValueError, match="compiled loops read channels-last memory"):
        CpuChoices("contiguous", compiled=True)
