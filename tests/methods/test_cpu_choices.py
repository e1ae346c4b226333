"""Whatever a CPU is told to choose, the numbers are those of torch's own convolution and of the textbook supernet."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from methods.gradient.mgas.cells.operations import Reduction
from methods.parts.convolution import depthwise, in_memory_format, strided_pointwise
from methods.parts.cpu_choices import DEFAULT_CHOICES, DEPTHWISE_CLASSES, CpuChoices, choose
from methods.parts.executors.mixture import Reduce
from methods.spaces.operations import FactorizedReduce, ReLUConvBN
from tests.methods.test_cell_supernet import compare, pair

EVERY_WAY = [
    CpuChoices(form, native) for form, native in product(("channels_last", "contiguous"), ((), DEPTHWISE_CLASSES))
]
EVERY_WAY += [CpuChoices(compiled=True)] if find_spec("numba") else []


@pytest.fixture(autouse=True)
def _double_precision_and_the_defaults_afterwards() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)
    choose(DEFAULT_CHOICES)


@pytest.mark.parametrize("choices", EVERY_WAY, ids=str)
@pytest.mark.parametrize(("kernel", "stride", "dilation"), DEPTHWISE_CLASSES)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9), (1, 4)])
def test_depthwise_equals_torch(
    kernel: int, stride: int, dilation: int, height: int, width: int, choices: CpuChoices
) -> None:
    x = torch.randn(3, 6, height, width, requires_grad=True)
    weight = torch.randn(6, 1, kernel, kernel, requires_grad=True)
    expected = F.conv2d(x, weight, None, stride, dilation * (kernel // 2), dilation, groups=6)
    choose(choices)
    found = depthwise(in_memory_format(x), weight, stride, dilation)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    gradient = torch.randn_like(expected)
    for a, b in zip(*(torch.autograd.grad(y, (x, weight), gradient) for y in (found, expected)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("choices", EVERY_WAY, ids=str)
def test_the_supernet_equals_the_textbook(choices: CpuChoices) -> None:
    choose(choices)
    compare(*pair(channels=4, cells=3), torch.randn(4, 3, 8, 8), torch.randint(10, (4,)))


@pytest.mark.parametrize("work", DEPTHWISE_CLASSES)
def test_a_choice_is_of_its_class_alone(work: tuple[int, int, int]) -> None:
    choose(CpuChoices(native=(work,)))
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    for kernel, stride, dilation in DEPTHWISE_CLASSES:
        y = depthwise(x, torch.randn(4, 1, kernel, kernel), stride, dilation)
        own = (kernel, stride, dilation) == work
        assert type(y.grad_fn).__name__.startswith("Convolution" if own else "_Depthwise")


def test_the_memory_format() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert in_memory_format(x).is_contiguous(memory_format=torch.channels_last)
    choose(CpuChoices("contiguous"))
    assert in_memory_format(x.contiguous(memory_format=torch.channels_last)).is_contiguous()


def test_what_does_not_exist_cannot_be_chosen() -> None:
    with pytest.raises(ValueError, match="valid: channels_last, contiguous"):
        CpuChoices("rows_first")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no depthwise convolution is \[\(7, 1, 1\)\]"):
        CpuChoices(native=((7, 1, 1),))


@pytest.mark.parametrize("channels", [1, 4, 7, 8, 15, 16, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("out", [5, 0])
def test_strided_pointwise_equals_the_mathematics(
    out: int, channels: int, dtype: torch.dtype, form: torch.memory_format
) -> None:
    x = torch.randn(3, channels, 7, 8, dtype=dtype).contiguous(memory_format=form).requires_grad_()
    weight = torch.randn(out, channels, 1, 1, dtype=dtype, requires_grad=True)
    found = strided_pointwise(x, weight)
    wanted = torch.einsum("oc,bchw->bohw", weight[..., 0, 0], x[:, :, ::2, ::2])
    torch.testing.assert_close(found, wanted)
    gradient = torch.randn_like(wanted)
    mine, theirs = (torch.autograd.grad(y, (x, weight), gradient) for y in (found, wanted))
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("first", [0, 6])
@pytest.mark.filterwarnings("error")
def test_a_reduction_may_lose_one_of_its_halves(first: int) -> None:
    """As a search's narrowing or filter pruning may leave it; every parameter has a gradient all the same."""
    torch.manual_seed(0)
    layer = FactorizedReduce(4, 6, c_first=first)
    x = torch.randn(2, 4, 8, 8)
    pixels = x.relu()[:, :, ::2, ::2] if first else x.relu()[:, :, 1::2, 1::2]
    kept = layer.conv_1 if first else layer.conv_2
    torch.testing.assert_close(layer(x), layer.bn(F.conv2d(pixels, kept.weight)))
    layer(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    gated = Reduction(4, 1)  # an odd width's first half is the smaller one
    assert gated.halves == (0, 1)
    assert gated(x, (torch.ones(1), torch.zeros(1))).shape == (2, 1, 4, 4)


def test_no_strided_pointwise_convolution_of_few_channels_reaches_the_library() -> None:
    """Which writes past its buffer there; the process may die much later, so what is called is looked at."""
    called = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), named=None):  # type: ignore[no-untyped-def]
            if function is torch.ops.aten.convolution.default:
                called.append((arguments[1].shape, arguments[3]))
            return function(*arguments, **(named or {}))

    layers = [FactorizedReduce(4, 6), ReLUConvBN(3, 4, kernel=1, stride=2), Reduce(3, 4)]
    with Watch():
        for layer in layers:
            layer(torch.randn(2, layer_inputs(layer), 8, 8).contiguous(memory_format=torch.channels_last))
    assert len(called) == 5
    assert all(tuple(stride) == (1, 1) for _, stride in called), called


def layer_inputs(layer: nn.Module) -> int:
    return 3 if isinstance(layer, ReLUConvBN) else 4
