"""The ways in which a CPU can compute the same, timed side by side on a small shape; which of them to take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts import compiled, convolution
from methods.parts.cpu_choices import DEPTHWISE_CLASSES, CpuChoices, DepthwiseClass, MemoryFormat, choosing
from methods.parts.executors.weighted_sum import weighted_sum

MARGIN = 0.9
"""An alternative is taken when it needs less than this share of the default's time, so that noise changes nothing."""

SHAPE = (8, 64, 16, 16)
"""(batch, channels, h, w): channels as in a state's edges together; as small as lets larger shapes choose the same."""

EDGES, CANDIDATES = 4, 4
ROUNDS = 5
FORMATS: tuple[MemoryFormat, MemoryFormat] = ("channels_last", "contiguous")
"""The default and the other."""


COMPILED: MemoryFormat = "channels_last"
"""The memory that compiled loops read."""


def time_name(form: MemoryFormat, work: DepthwiseClass | None, native: bool = False, compiled: bool = False) -> str:
    """For one class of depthwise convolution, or for the layers around them (None)."""
    if work is None:
        return f"{form}, other layers"
    way = "native" if native else "compiled" if compiled else "taken apart"
    return "{}, {}x{} stride {} dilation {}, {}".format(form, work[0], *work, way)


def sums_name(form: MemoryFormat, compiled: bool = False) -> str:
    """For the normalised, weighted sums of a supernet's candidates."""
    return f"{form}, sums of candidates, {'compiled' if compiled else 'plain'}"


def total_ms(times_ms: Mapping[str, float], choices: CpuChoices) -> float:
    """Of the other layers, the sums and every class of depthwise convolution once."""
    form = choices.memory_format
    parts = (depthwise_ms(times_ms, choices, work, work in choices.native) for work in DEPTHWISE_CLASSES)
    return times_ms[time_name(form, None)] + times_ms[sums_name(form, choices.compiled)] + sum(parts)


def depthwise_ms(times_ms: Mapping[str, float], choices: CpuChoices, work: DepthwiseClass, native: bool) -> float:
    """Of one class, torch's own or what stands in for it; compiled loops there are for stride 1 alone."""
    looped = choices.compiled and work[1] == 1 and not native
    return times_ms[time_name(choices.memory_format, work, native, looped)]


def best(times_ms: Mapping[str, float], form: MemoryFormat) -> CpuChoices:
    """In one memory format: compiled loops, unless they are slower by the margin (the sums that are timed are a part of
    what they save); depthwise convolutions not torch's own, except where that is faster by it."""
    plain, loops = times_ms[sums_name(form)], times_ms.get(sums_name(form, compiled=True))
    choices = CpuChoices(form, compiled=loops is not None and MARGIN * loops < plain)
    pairs = {work: [depthwise_ms(times_ms, choices, work, own) for own in (False, True)] for work in DEPTHWISE_CLASSES}
    return replace(choices, native=tuple(work for work, (ours, native) in pairs.items() if native < MARGIN * ours))


def decide(times_ms: Mapping[str, float]) -> CpuChoices:
    """The best of the default memory format, unless that of the other is faster by the margin."""
    default, other = (best(times_ms, form) for form in FORMATS)
    return other if total_ms(times_ms, other) < MARGIN * total_ms(times_ms, default) else default


def measure(threads: int) -> dict[str, float]:
    """Milliseconds of forward and backward of every alternative: the shortest of some rounds, taken in turn.

    On one thread by its time on a processor alone, so that other processes, which take turns with it, are not counted.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        alternatives, times = list(_alternatives()), dict[str, float]()
        for turn in range(1 + ROUNDS):  # the first is to warm up
            for name, choices, step in alternatives:
                with choosing(choices):
                    began = clock()
                    step()
                    took = 1000 * (clock() - began)
                times[name] = took if turn < 2 else min(times[name], took)
        return times
    finally:
        torch.set_num_threads(before)


def _alternatives() -> Iterator[tuple[str, CpuChoices, Callable[[], object]]]:
    generator, channels, loops = torch.Generator().manual_seed(0), SHAPE[1], compiled.why_not() is None
    for form in FORMATS:
        layout = CpuChoices(form).torch_format

        def leaf(*shape: int, layout: torch.memory_format = layout) -> Tensor:
            return torch.randn(shape, generator=generator).contiguous(memory_format=layout).requires_grad_()

        x, candidates = leaf(*SHAPE), [leaf(*SHAPE) for _ in range(CANDIDATES)]
        sums = partial(_step, _sums, torch.rand(EDGES, CANDIDATES + 1, generator=generator), *candidates)
        yield sums_name(form), CpuChoices(form), sums
        if loops and form == COMPILED:
            yield sums_name(form, compiled=True), CpuChoices(form, compiled=True), sums
        others = partial(_step, _other_layers, x, leaf(channels, channels, 3, 3), leaf(channels, channels, 1, 1))
        yield time_name(form, None), CpuChoices(form), others
        for work in DEPTHWISE_CLASSES:
            kernel, stride, dilation = work
            call = partial(convolution.depthwise, stride=stride, dilation=dilation)
            step = partial(_step, call, x, leaf(channels, 1, kernel, kernel))
            yield time_name(form, work), CpuChoices(form), step
            yield time_name(form, work, native=True), CpuChoices(form, (work,)), step
            if loops and form == COMPILED and stride == 1:
                yield time_name(form, work, compiled=True), CpuChoices(form, compiled=True), step


def _other_layers(x: Tensor, dense: Tensor, pointwise: Tensor) -> Tensor:
    x = F.relu(F.batch_norm(F.conv2d(x, dense, padding=1), None, None, training=True))
    return F.max_pool2d(F.batch_norm(F.conv2d(x, pointwise), None, None, training=True), 3, 1, 1)


def _sums(weights: Tensor, *candidates: Tensor) -> Tensor:
    norms = [nn.BatchNorm2d(SHAPE[1], affine=False) for _ in candidates]
    return weighted_sum(weights, candidates, norms, [candidates[0][:, : SHAPE[1] // EDGES]])


def _step(call: Callable[..., Tensor], *inputs: Tensor) -> None:
    y = call(*inputs)
    torch.autograd.grad(y, [each for each in inputs if each.requires_grad], torch.ones_like(y))
