"""Compiled loops compute what the plain functions compute: values, gradients, running statistics."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from methods.parts import compiled
from methods.parts.cpu_choices import DEFAULT_CHOICES, CpuChoices, choose, choosing, chosen
from methods.parts.executors.weighted_sum import weighted_sum
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
    weights = torch.rand(edges, candidates + shared, requires_grad=True)
    norms = [nn.BatchNorm2d(edges * channels, affine=False) for _ in zs]
    twins = deepcopy(norms)
    gradient = torch.randn(batch, edges * channels, height, width)
    found = weighted_sum(weights, [z + 3 for z in zs], norms, xs)
    with choosing(replace(chosen(), compiled=False)):
        wanted = weighted_sum(weights, [z + 3 for z in zs], twins, xs)
    assert "Compiled" in type(found.grad_fn).__name__
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    gradients = (torch.autograd.grad(y, [weights, *zs, *xs], gradient) for y in (found, wanted))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(norms, twins, strict=True):
        torch.testing.assert_close(mine.state_dict(), theirs.state_dict(), rtol=1e-9, atol=1e-9)


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


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_rectified_and_repeated(batch: int, height: int, width: int) -> None:
    from methods.parts.compiled.rectified import relu_repeat

    x = leaf(batch, 3, height, width, torch.channels_last)
    found, wanted = relu_repeat(x, 4), torch.cat([x.relu()] * 4, dim=1)
    assert torch.equal(found, wanted)
    gradient = torch.randn_like(wanted)
    mine, theirs = (torch.autograd.grad(y, x, gradient)[0] for y in (found, wanted))
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("share", [1, 2])
def test_the_supernet_equals_the_textbook(share: int) -> None:
    fast, oracle = pair(4, 3, share, share > 1)
    compare(fast, oracle, torch.randn(4, 3, 8, 8), torch.randint(10, (4,)))


def test_what_is_not_a_number_stays_that() -> None:
    """A search that diverges must be seen to: a rectifier that answers zero would hide it."""
    from methods.parts.compiled.rectified import norm_relu, relu_repeat

    x = torch.ones(2, 1, 4, 4)
    x[0, 0, 0, 0] = math.nan
    assert relu_repeat(x, 2)[0, :, 0, 0].isnan().all()
    assert norm_relu(nn.BatchNorm2d(1, affine=False), x).isnan().all()


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
