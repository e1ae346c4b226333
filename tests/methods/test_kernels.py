"""The fused kernels against the plain functions: on a GPU if there is one, else interpreted (tests/conftest.py).

In float64 the two agree to rounding; in float32 and bfloat16 to what their sums' order and storage allow.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.executors import kernels
from methods.parts.executors.mixture import Mixture
from methods.parts.executors.partial_channels import partial_channels
from methods.parts.executors.weighted_sum import weighted_sum
from methods.parts.gates import Gates
from methods.parts.parameterisation import EdgeNormalisedSoftmax, Softmax
from methods.spaces.cell.frame import Place
from methods.spaces.cell.supernet import CellSupernet, SupernetCell
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.nasbench201.supernet import RELAXATION as NASBENCH201
from methods.spaces.nasbench201.supernet import SearchCell
from methods.spaces.supernet_settings import SupernetSettings

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CLOSE = {
    torch.float64: {"rtol": 1e-10, "atol": 1e-10},
    torch.float32: {"rtol": 1e-4, "atol": 2e-5},
    torch.bfloat16: {"rtol": 2e-2, "atol": 5e-2},
}


# Interpreting is slow: `make test` takes float64 and a size of each; `make test-long` the rest.
long = pytest.mark.long
DTYPES = [torch.float64, pytest.param(torch.float32, marks=long), pytest.param(torch.bfloat16, marks=long)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def randn(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, device=DEVICE, dtype=torch.float32).to(dtype)


def norm(channels: int, dtype: torch.dtype) -> nn.BatchNorm2d:
    """Running statistics are float32 beside bfloat16 activations, as under autocast."""
    made = nn.BatchNorm2d(channels, affine=False).to(DEVICE, torch.float64 if dtype == torch.float64 else torch.float32)
    made.running_mean.uniform_(-1, 1)
    made.running_var.uniform_(0.5, 2)
    return made


def twin(of: nn.BatchNorm2d) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(of.num_features, affine=False).to(of.running_mean)
    made.load_state_dict(of.state_dict())
    return made


def check(found: Tensor, wanted: Tensor, dtype: torch.dtype, what: str) -> None:
    """Relative to the largest value, because sums of many terms cancel."""
    scale = wanted.double().abs().max().clamp(min=1e-30)
    torch.testing.assert_close(
        found.double() / scale, wanted.double() / scale, **CLOSE[dtype], msg=lambda m: f"{what}: {m}"
    )


def compare(found: Tensor, wanted: Tensor, inputs: list[Tensor], references: list[Tensor], dtype: torch.dtype) -> None:
    check(found, wanted, dtype, "value")
    gradient = torch.randn_like(wanted)
    mine = torch.autograd.grad(found, inputs, gradient.to(found.dtype))
    theirs = torch.autograd.grad(wanted, references, gradient)
    for n, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        check(a, b, dtype, f"gradient {n}")


def leaf(x: Tensor) -> tuple[Tensor, Tensor]:
    """A leaf, and the same values in double precision for the reference."""
    return x.clone().requires_grad_(), x.detach().double().requires_grad_()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("edges", "candidates", "shared"),
    [(4, 4, 3), pytest.param(3, 5, 2, marks=long), pytest.param(1, 4, 3, marks=long), (2, 0, 1)],
)
@pytest.mark.parametrize(("batch", "size"), [(3, (5, 7)), pytest.param(40, (6, 6), marks=long), (1, (2, 1))])
def test_weighted_sum(
    edges: int, candidates: int, shared: int, batch: int, size: tuple[int, int], dtype: torch.dtype
) -> None:
    from methods.parts.executors.kernels.weighted_sum import fused_weighted_sum

    channels = 3
    zs = [randn(batch, edges * channels, *size, dtype=dtype) + 3 * k for k in range(candidates)]
    xs = [randn(batch, channels, *size, dtype=dtype) for _ in range(shared)]
    weights = torch.rand(edges, candidates + shared, device=DEVICE, dtype=torch.float64)
    weights = weights if dtype == torch.float64 else weights.float()
    mine, theirs = zip(*(leaf(t) for t in [weights, *zs, *xs]), strict=True)
    norms = [norm(edges * channels, dtype) for _ in zs]
    references = [twin(n).double() for n in norms]
    found = fused_weighted_sum(mine[0], mine[1 : 1 + candidates], norms, mine[1 + candidates :])
    wanted = weighted_sum(theirs[0], theirs[1 : 1 + candidates], references, theirs[1 + candidates :])
    assert found.dtype == dtype
    tolerance = dtype if batch > 1 else (torch.float64 if dtype == torch.float64 else torch.bfloat16)  # two pixels
    compare(found, wanted, list(mine), list(theirs), tolerance)
    for n, reference in zip(norms, references, strict=True):
        check(n.running_mean, reference.running_mean, dtype, "running mean")
        check(n.running_var, reference.running_var, dtype, "running variance")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(
    ("stride", "dilation"), [pytest.param(1, 1, marks=long), (2, 1), pytest.param(1, 2, marks=long), (2, 2)]
)
@pytest.mark.parametrize(
    ("edges", "size"),
    [
        pytest.param(4, (8, 8), marks=long),
        (3, (7, 5)),
        pytest.param(1, (1, 2), marks=long),
        pytest.param(5, (3, 3), marks=long),
    ],
)
def test_relu_and_depthwise_convolution_of_all_edges(
    kernel: int, stride: int, dilation: int, edges: int, size: tuple[int, int], dtype: torch.dtype
) -> None:
    from methods.parts.executors.kernels.depthwise import relu_depthwise

    channels = 2
    x, x64 = leaf(randn(11, channels, *size, dtype=dtype))
    w, w64 = leaf(
        randn(edges * channels, 1, kernel, kernel, dtype=torch.float64 if dtype == torch.float64 else torch.float32)
    )
    found = relu_depthwise(x, w, stride, dilation)
    repeated = torch.cat([x64.relu()] * edges, dim=1)
    wanted = F.conv2d(repeated, w64, None, stride, dilation * (kernel // 2), dilation, groups=edges * channels)
    assert found.dtype == dtype
    compare(found, wanted, [x, w], [x64, w64], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(
    ("batch", "size"), [pytest.param(11, (8, 8), marks=long), (3, (7, 5)), pytest.param(60, (6, 7), marks=long)]
)
def test_norm_relu_and_depthwise_convolution(
    kernel: int, batch: int, size: tuple[int, int], dtype: torch.dtype
) -> None:
    from methods.parts.executors.kernels.depthwise import norm_relu_depthwise

    channels = 3
    z, z64 = leaf(randn(batch, channels, *size, dtype=dtype) * 2 + 1)
    w, w64 = leaf(randn(channels, 1, kernel, kernel, dtype=torch.float64 if dtype == torch.float64 else torch.float32))
    own = norm(channels, dtype)
    reference = twin(own).double()
    found = norm_relu_depthwise(z, w, own)
    wanted = F.conv2d(reference(z64).relu(), w64, padding=kernel // 2, groups=channels)
    compare(found, wanted, [z, w], [z64, w64], dtype)
    check(own.running_mean, reference.running_mean, dtype, "running mean")
    check(own.running_var, reference.running_var, dtype, "running variance")


def test_statistics_of_a_large_mean_and_a_small_deviation() -> None:
    from methods.parts.executors.kernels.statistics import batch_statistics

    z = 1000 + 0.01 * randn(90, 2, 6, 6, dtype=torch.float32)
    out = torch.empty(2, 2, device=DEVICE)
    own = norm(2, torch.float32)
    own.track_running_stats = False
    before = own.running_mean.clone()
    batch_statistics(z, own, out)
    wanted = (z.double().var((0, 2, 3), correction=0) + own.eps).rsqrt()
    torch.testing.assert_close(out[1].double(), wanted, rtol=1e-3, atol=0)
    assert torch.equal(own.running_mean, before)


def equal_modules(
    fused: nn.Module, plain: nn.Module, run: Callable[[nn.Module], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values, all gradients and running statistics, in double precision, with and without the kernels."""
    values, gradients = [], []
    for module, use in [(fused, True), (plain, False)]:
        monkeypatch.setattr(kernels, "usable", lambda *arguments, use=use: use)
        values.append(run(module))
        scalar = (values[-1] * torch.linspace(-1, 1, values[-1].numel(), device=DEVICE).view_as(values[-1])).sum()
        gradients.append(torch.autograd.grad(scalar, list(module.parameters())))
    torch.testing.assert_close(values[0], values[1], rtol=1e-9, atol=1e-9)
    for (name, _), a, b in zip(fused.named_parameters(), *gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")
    statistics = {name: buffer for name, buffer in plain.named_buffers() if "running" in name}
    for name, buffer in fused.named_buffers():
        if name in statistics:
            torch.testing.assert_close(buffer, statistics[name], rtol=1e-9, atol=1e-9)


def copies(make: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module]:
    made = make().to(DEVICE, torch.float64)
    return made, copy.deepcopy(made)


class CellWithGates(nn.Module):
    """A reduction cell (strides 2 and 1, one to four edges a state) with architecture parameters."""

    def __init__(self, share: int) -> None:
        super().__init__()
        executor = partial_channels(Mixture, share)
        self.cell = SupernetCell(Place(4, 4, 2 * share, reduction=True, after_reduction=False), executor)
        self.parameterisation = EdgeNormalisedSoftmax(TOPOLOGY)
        for name, parameter in self.parameterisation.named_parameters():
            nn.init.normal_(parameter, std=1.0 if "reduce" in name else 0.0)

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        gates = self.parameterisation.gates("reduce")
        unused = sum(p.sum() for n, p in self.parameterisation.named_parameters() if "normal" in n)
        return self.cell(before_last, last, gates) + 0.0 * unused


@pytest.mark.long
@pytest.mark.parametrize("share", [1, 2])
def test_a_whole_cell(share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fused, plain = copies(lambda: CellWithGates(share))
    before_last, last = (torch.randn(2, 4, 6, 6, device=DEVICE, dtype=torch.float64) for _ in range(2))
    equal_modules(fused, plain, lambda module: module(before_last, last), monkeypatch)


class CellOf201(nn.Module):
    """A cell of NAS-Bench-201 with gates of its own."""

    def __init__(self, share: int) -> None:
        super().__init__()
        self.cell = SearchCell(2 * share, partial_channels(NASBENCH201.mixture, share))
        self.operations = nn.Parameter(torch.rand(6, 5))
        self.edges = nn.Parameter(torch.rand(6))

    def forward(self, x: Tensor) -> Tensor:
        topology, gates = NASBENCH201.topology, Gates(self.operations, self.edges)
        rows = [torch.tensor(topology.leaving(source), device=x.device) for source in topology.sources]
        return self.cell(x, [gates.rows(index.tolist(), index) for index in rows])


@pytest.mark.parametrize("share", [1, pytest.param(2, marks=long)])
def test_a_cell_of_nasbench201(share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fused, plain = copies(lambda: CellOf201(share))
    x = torch.randn(2, 2 * share, 4, 4, device=DEVICE, dtype=torch.float64)
    equal_modules(fused, plain, lambda module: module(x), monkeypatch)


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="takes minutes to interpret; a cell is tested above")
def test_a_whole_supernet(monkeypatch: pytest.MonkeyPatch) -> None:
    """`test_cell_supernet` holds the plain one to the textbook."""
    fused, plain = copies(lambda: CellSupernet(10, SupernetSettings(4, 3), Softmax(TOPOLOGY), Mixture))
    images = torch.randn(3, 3, 16, 16, device=DEVICE, dtype=torch.float64)
    equal_modules(fused, plain, lambda module: module(images), monkeypatch)


def test_a_cpu_never_uses_them() -> None:
    assert not kernels.usable(torch.ones(1, 1, 1, 1), [], 1)
