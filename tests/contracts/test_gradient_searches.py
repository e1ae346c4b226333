"""What every registered gradient search keeps to: a new one is tested by being registered."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, SearchContext
from methods.parts.counts import count_macs, count_params
from methods.registry import all_methods
from methods.spaces import NetworkSettings, at_scale, build, get_space
from tests.contracts.tiny import CONTEXT, ENLARGE, ENLARGING, GRADIENT_SEARCHES, context_of, relaxed_spaces, tiny

STEPS = 2
"""In an epoch."""

every_method = pytest.mark.parametrize("name", GRADIENT_SEARCHES)
SPACES_OF = {name: relaxed_spaces(name) for name in GRADIENT_SEARCHES}


def is_often(name: str, space: str) -> bool:
    """`make test` has every method in one space, and every space with one method; `make test-long` has all pairs."""
    return space == SPACES_OF[name][0] or name == next(each for each in SPACES_OF if space in SPACES_OF[each])


every_search = pytest.mark.parametrize(
    ("name", "space"),
    [
        pytest.param(
            name,
            space,
            id=f"{name}-{space}" if space else name,
            marks=() if is_often(name, space) else pytest.mark.long,
        )
        for name, spaces in SPACES_OF.items()
        for space in spaces
    ],
)
"""Every method in every space that its options allow."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def new(name: str, space: str = "", seed: int = 1) -> GradientSearch:
    torch.manual_seed(seed)
    cls: Any = all_methods()[name]
    method: GradientSearch = cls(cls.Options(**tiny(name, space)), context_of(name, space, seed))
    method.to(torch.device("cpu"))
    return method


def context(method: GradientSearch) -> SearchContext:
    return ENLARGING if method.name in ENLARGE else CONTEXT


def batch(method: GradientSearch, *key: int) -> Batch:
    """Random images and what should be said of them, always the same for one key."""
    generator, side = torch.Generator().manual_seed(hash(key) % 2**31), context(method).image_size
    if method.name in ENLARGE:
        images, larger = (torch.rand(method.batch_size, 1, n, n, generator=generator) for n in (side, 2 * side))
        return images, larger
    images = torch.randn(method.batch_size, 1, side, side, generator=generator)
    return images, torch.randint(10, (method.batch_size,), generator=generator)


def evaluation(method: GradientSearch) -> dict[str, float]:
    """What `on_epoch_end` may ask for: loss and accuracy of the present supernet."""
    (images, targets), task = batch(method, 99), context(method).task
    method.supernet.eval()
    with torch.no_grad():
        outputs = method.supernet(images)
    method.supernet.train()
    return task.values({name: float(value) for name, value in task.evaluated(outputs, targets).items()})


def drive(
    method: GradientSearch, restart: Callable[[GradientSearch], GradientSearch] = lambda method: method
) -> Iterator[tuple[GradientSearch, dict[str, Tensor]]]:
    """The search loop of `bench.run.search` on random images; a restart, if any, inside and at the end of an epoch."""
    for epoch in range(method.epochs):
        if method.finished:
            return
        method.on_epoch_start(epoch)
        for number in range(STEPS):
            method.supernet.train()
            beside = batch(method, epoch, number, 1) if method.split.paired else None
            sums = method.step(batch(method, epoch, number, 0), beside)
            yield method, {key: value.clone() for key, value in sums.items()}
            if epoch == 0 and number + 1 < STEPS:  # a search that continues inside of an epoch enters it again
                method = restart(method)
                method.on_epoch_start(epoch)
        method.on_epoch_end(epoch, lambda method=method: evaluation(method))  # type: ignore[misc]
        if epoch == 0:
            method = restart(method)


@cache
def searched(name: str, space: str) -> tuple[list[dict[str, Tensor]], dict[str, Any], Architecture]:
    """A whole search: the sums of its steps, its last state and its answer."""
    return outcome(drive(new(name, space)))


def outcome(
    run: Iterator[tuple[GradientSearch, dict[str, Tensor]]],
) -> tuple[list[dict[str, Tensor]], dict[str, Any], Architecture]:
    sums = []
    for method, values in run:
        sums.append(values)
        last = method
    return sums, last.state_dict(), last.architecture()


def restarted(name: str, space: str) -> Callable[[GradientSearch], GradientSearch]:
    """Its state through a file, weights only, into a new method; torch's generator goes on, as in the harness."""

    def restart(method: GradientSearch) -> GradientSearch:
        buffer, random = io.BytesIO(), torch.get_rng_state()
        torch.save(method.state_dict(), buffer)
        buffer.seek(0)
        fresh = new(name, space, seed=77)
        fresh.load_state_dict(torch.load(buffer, weights_only=True))
        torch.set_rng_state(random)
        return fresh

    return restart


def same(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two states differ in a bit."""
    if isinstance(one, Tensor):
        return [] if isinstance(other, Tensor) and torch.equal(one, other) else [where]
    if isinstance(one, dict):
        keys = [] if list(map(str, one)) == list(map(str, other)) else [f"{where}: keys"]
        return keys + [each for key in one if key in other for each in same(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list | tuple):
        length = [] if len(one) == len(other) else [f"{where}: length"]
        return length + [
            each for n, pair in enumerate(zip(one, other, strict=False)) for each in same(*pair, f"{where}[{n}]")
        ]
    return [] if one == other else [where]


@every_search
def test_a_step_returns_sums_on_the_device(name: str, space: str) -> None:
    """0-d tensors, finite; the count is that of the batch. The validation batch's are there once it is used."""
    method, steps = new(name, space), searched(name, space)[0]
    expected = {"loss_sum", "count", "psnr_sum" if name in ENLARGE else "correct"}
    assert all(expected <= set(sums) for sums in steps)
    if method.split.paired:
        assert {f"valid_{key}" for key in expected} <= set(steps[-1])
    for sums in steps:
        assert int(sums["count"]) == method.batch_size
        for key, value in sums.items():
            assert value.shape == (), key
            assert value.device == next(method.supernet.parameters()).device, key
            assert bool(value.isfinite()), key


@every_search
def test_restarted_twice_it_has_the_same_bits(name: str, space: str) -> None:
    sums, state, answer = outcome(drive(new(name, space), restarted(name, space)))
    expected_sums, expected_state, expected_answer = searched(name, space)
    assert same(expected_sums, sums, "sums") == []
    assert same(expected_state, state, "state") == []
    assert answer == expected_answer


@every_search
def test_the_seed_decides(name: str, space: str) -> None:
    again, other = (
        [sums for _, sums in islice(drive(new(name, space, seed)), steps)] for seed, steps in ((1, 2), (2, 1))
    )
    assert same(searched(name, space)[0][:2], again, "sums") == []
    assert same(searched(name, space)[0][:1], other)


@every_search
def test_its_answer_is_valid_builds_and_counts(name: str, space: str) -> None:
    scales = {"nasbench201": {"channels": 4, "cells_per_stage": 1}, "dlsr": {"channels": 8}}
    settings, told = NetworkSettings(4, 3, in_channels=1, scales=scales), ENLARGING if name in ENLARGE else CONTEXT
    outputs, side = told.num_classes, told.image_size
    answer = at_scale(searched(name, space)[2], settings)
    assert answer.space in (space or answer.space, *all_methods()[name].facts.space.split(", "))
    get_space(answer.space).validate(answer)
    network = build(answer, outputs, settings)
    counts = get_space(answer.space).counts(answer, outputs, settings, image_size=side)
    assert (counts.params, counts.macs) == (count_params(network), count_macs(network, (1, side, side)))
    shape = (2, 1, 2 * side, 2 * side) if name in ENLARGE else (2, outputs)
    assert network.eval()(torch.zeros(2, 1, side, side)).shape == shape


@every_search
def test_its_split_is_known_before_there_is_a_search(name: str, space: str) -> None:
    cls: Any = all_methods()[name]
    method = new(name, space)
    assert cls.split_of(cls.Options(**tiny(name, space))) == method.split
    assert method.split.train + method.split.valid <= 1


@every_method
def test_what_it_says_is_worth_watching_is_in_its_epochs(name: str) -> None:
    """By these names, and of the shape that the figure has; figures of one name are one figure."""
    method = new(name)
    method.on_epoch_start(0)
    values = method.on_epoch_end(0, lambda: evaluation(method))
    for watched in method.watched:
        shown = watched.of(values)
        assert shown, watched.name
        assert {isinstance(values[key], list) for key in shown} == {watched.shape == "by cell"}, watched.name
        others = [each for cls in all_methods().values() for each in getattr(cls, "watched", ())]
        assert all(each == watched for each in others if each.name == watched.name), watched.name
