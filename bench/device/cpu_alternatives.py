"""The ways in which a CPU can compute the same, timed side by side on a small shape; which of them to take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.parts import convolution
from methods.parts.convolution import DEPTHWISE_CLASSES, CpuChoices, DepthwiseClass, MemoryFormat

MARGIN = 0.9
"""An alternative is taken when it needs less than this share of the default's time, so that noise changes nothing."""

SHAPE = (8, 64, 16, 16)
"""(batch, channels, h, w): channels as in a state's edges together; as small as lets larger shapes choose the same."""

ROUNDS = 5
FORMATS: tuple[MemoryFormat, MemoryFormat] = ("channels_last", "contiguous")
"""The default and the other."""


def time_name(form: MemoryFormat, work: DepthwiseClass | None, native: bool = False) -> str:
    """For one class of depthwise convolution, or for the layers around them (None)."""
    if work is None:
        return f"{form}, other layers"
    return "{}, {}x{} stride {} dilation {}, {}".format(form, work[0], *work, "native" if native else "taken apart")


def total_ms(times_ms: Mapping[str, float], choices: CpuChoices) -> float:
    """Of the other layers and every class of depthwise convolution once."""
    form = choices.memory_format
    parts = (times_ms[time_name(form, work, work in choices.native)] for work in DEPTHWISE_CLASSES)
    return times_ms[time_name(form, None)] + sum(parts)


def best(times_ms: Mapping[str, float], form: MemoryFormat) -> CpuChoices:
    """In one memory format: taken apart, except where torch's own is faster by the margin."""
    pairs = {work: [times_ms[time_name(form, work, own)] for own in (False, True)] for work in DEPTHWISE_CLASSES}
    return CpuChoices(form, tuple(work for work, (apart, native) in pairs.items() if native < MARGIN * apart))


def decide(times_ms: Mapping[str, float]) -> CpuChoices:
    """The best of the default memory format, unless that of the other is faster by the margin."""
    default, other = (best(times_ms, form) for form in FORMATS)
    return other if total_ms(times_ms, other) < MARGIN * total_ms(times_ms, default) else default


def measure(threads: int) -> dict[str, float]:
    """Milliseconds of forward and backward of every alternative: the shortest of some rounds, taken in turn."""
    before = torch.get_num_threads(), convolution.chosen()
    torch.set_num_threads(threads)
    try:
        alternatives, times = list(_alternatives()), dict[str, float]()
        for turn in range(1 + ROUNDS):  # the first is to warm up
            for name, choices, step in alternatives:
                convolution.choose(choices)
                began = time.perf_counter()
                step()
                took = 1000 * (time.perf_counter() - began)
                times[name] = took if turn < 2 else min(times[name], took)
        return times
    finally:
        torch.set_num_threads(before[0])
        convolution.choose(before[1])


def _alternatives() -> Iterator[tuple[str, CpuChoices, Callable[[], object]]]:
    generator, channels = torch.Generator().manual_seed(0), SHAPE[1]
    for form in FORMATS:
        layout = CpuChoices(form).torch_format

        def leaf(*shape: int, layout: torch.memory_format = layout) -> Tensor:
            return torch.randn(shape, generator=generator).contiguous(memory_format=layout).requires_grad_()

        x = leaf(*SHAPE)
        others = partial(_step, _other_layers, x, leaf(channels, channels, 3, 3), leaf(channels, channels, 1, 1))
        yield time_name(form, None), CpuChoices(form), others
        for work in DEPTHWISE_CLASSES:
            kernel, stride, dilation = work
            call = partial(convolution.depthwise, stride=stride, dilation=dilation)
            step = partial(_step, call, x, leaf(channels, 1, kernel, kernel))
            yield time_name(form, work), CpuChoices(form), step
            yield time_name(form, work, native=True), CpuChoices(form, (work,)), step


def _other_layers(x: Tensor, dense: Tensor, pointwise: Tensor) -> Tensor:
    x = F.relu(F.batch_norm(F.conv2d(x, dense, padding=1), None, None, training=True))
    return F.max_pool2d(F.batch_norm(F.conv2d(x, pointwise), None, None, training=True), 3, 1, 1)


def _step(call: Callable[..., Tensor], *inputs: Tensor) -> None:
    y = call(*inputs)
    torch.autograd.grad(y, inputs, torch.ones_like(y))
