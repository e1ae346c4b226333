"""Cells by stage (Hc-DAS): DARTS with another sharing key, and nothing else."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from methods.base import Batch, MethodError
from methods.gradient.darts import DARTS, DARTSOptions
from methods.gradient.hdas.as_released import SlippedUnrolled
from methods.gradient.hdas.cells import HcDAS, HcDASOptions
from methods.parts.bilevel import FirstOrder
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, get_space
from methods.spaces.base import SizeMatch
from methods.spaces.cell.layout import layout
from methods.spaces.cell.pairs_sized import edge_counts
from methods.spaces.cell.sharing import BY_STAGE, BY_TYPE, cell_of_stage
from methods.spaces.decisions import size
from tests.contracts.tiny import CONTEXT

TINY = {"epochs": 2, "channels": 4, "cells": 5, "batch_size": 4}


def batch(key: int) -> Batch:
    generator = torch.Generator().manual_seed(key)
    return torch.randn(4, 1, 8, 8, generator=generator), torch.randint(10, (4,), generator=generator)


def search(cls: Any = HcDAS, options: Any = HcDASOptions, steps: int = 0, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    method = cls(options(**TINY, **more), CONTEXT)
    for step in range(steps):
        method.step(batch(2 * step), batch(2 * step + 1))
    return method


def test_stages_end_at_the_reductions() -> None:
    kinds = ["normal1", "normal1", "reduce1", "normal2", "normal2", "reduce2", "normal3", "normal3"]
    assert [cell_of_stage(index, 8) for index in range(8)] == kinds
    at_twenty = [cell_of_stage(index, 20) for index in range(20)]
    assert [at_twenty.count(kind) for kind in BY_STAGE.kinds] == [6, 1, 6, 1, 6]
    for cells in range(BY_STAGE.cells, 30):
        assert {cell_of_stage(index, cells) for index in range(cells)} == set(BY_STAGE.kinds)
    assert len({cell_of_stage(index, BY_STAGE.cells - 1) for index in range(BY_STAGE.cells - 1)}) < 5


def test_it_is_darts_in_its_space_to_the_bit() -> None:
    ours, darts = search(steps=2), search(DARTS, DARTSOptions, steps=2, space="staged_cell")
    assert len(ours.alphas) == 5
    pairs = zip(ours.supernet.parameters(), darts.supernet.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_with_equal_parameters_it_is_the_supernet_of_darts_and_gradients_add_up_over_the_stages() -> None:
    darts, staged = search(DARTS, DARTSOptions, seed=1), search(seed=2)
    state = {name: value for name, value in darts.supernet.state_dict().items() if "alpha" not in name}
    alphas = {f"parameterisation.alpha.{k}": getattr(darts.parameterisation.alpha, k[:-1]) for k in BY_STAGE.kinds}
    staged.supernet.load_state_dict(state | alphas)
    images, labels = batch(0)
    losses = [F.cross_entropy(method.supernet(images), labels) for method in (darts, staged)]
    assert torch.equal(*losses)
    by_type, by_stage = (
        dict(zip(method.parameterisation.alpha, torch.autograd.grad(loss, method.alphas), strict=True))
        for loss, method in zip(losses, (darts, staged), strict=True)
    )
    for kind in BY_TYPE.kinds:
        parts = [by_stage[name] for name in BY_STAGE.kinds if name.startswith(kind)]
        assert len({part.flatten()[0].item() for part in parts}) == len(parts), "each stage has its own"
        torch.testing.assert_close(sum(parts), by_type[kind])


def test_the_network_has_each_cell_at_its_stage() -> None:
    space = get_space("staged_cell")
    found = space.sample(torch.Generator().manual_seed(3))
    assert len({str(found.genotype[kind]) for kind in BY_STAGE.kinds}) == 5
    for index, cell in enumerate(layout(found, NetworkSettings(8, 20))):
        assert [[e.operation, e.source, e.node] for e in cell.edges] == found.genotype[cell_of_stage(index, 20)][
            "edges"
        ]
    pair = get_space("darts_cell").sample(torch.Generator().manual_seed(4))
    same = replace(found, genotype={kind: pair.genotype[kind[:-1]] for kind in BY_STAGE.kinds})
    settings = NetworkSettings(8, 8)
    assert space.counts(same, 10, settings) == get_space("darts_cell").counts(pair, 10, settings)
    assert size(space) == 1037664180**5  # of one cell; darts_cell has its square


@pytest.mark.parametrize("name", ["darts_cell", "staged_cell"])
@pytest.mark.parametrize("on", ["params", "macs"])
def test_draws_are_of_the_size_asked_for_and_counts_are_sums_over_edges(name: str, on: str) -> None:
    space: Any = get_space(name)
    settings = NetworkSettings(4, 5, in_channels=1)
    generator, scale = torch.Generator().manual_seed(5), {"channels": 4, "cells": 5}
    value = getattr(space.counts(space.sample(generator), 10, settings, 8), on)
    found = space.sample_at_size(generator, SizeMatch(on, value, 0.01, 0, scale), 10, settings, 8)
    space.validate(found)
    network = space.build(found, 10, NetworkSettings(in_channels=1))
    counted = {"params": count_params(network), "macs": count_macs(network, (1, 8, 8))}
    assert 0.99 * value <= counted[on] <= value
    assert {key: found.provenance["sizes"][key] for key in counted} == counted
    base, table = edge_counts(space, space.sharing.kinds, lambda a: getattr(space.counts(a, 10, settings, 8), on))
    for _ in range(5):
        drawn, total = space.sample(generator), base
        for row, kind in enumerate(space.sharing.kinds):
            for operation, source, _ in drawn.genotype[kind]["edges"]:
                total += int(table[row, int(source < 2), space.decisions()[0].options.index(operation)])
        assert total == getattr(space.counts(drawn, 10, settings, 8), on)


def test_too_few_cells_for_the_stages_are_refused() -> None:
    for options in (lambda: HcDASOptions(cells=4), lambda: DARTSOptions(cells=4, space="staged_cell")):
        with pytest.raises(MethodError, match=r"cells=4 leaves a stage .* at least 5"):
            options()


def test_as_released_gradients_are_those_of_the_start_and_survive_a_restart() -> None:
    first = search(seed=3)
    expected, _ = FirstOrder(first.supernet, first.weights, first.alphas)(batch(7), batch(8))
    stale = search(seed=3, steps=3, as_released=True)
    found, _ = stale.architecture_gradient(batch(7), batch(8))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    buffer = io.BytesIO()
    torch.save(stale.state_dict(), buffer)
    buffer.seek(0)
    fresh = search(seed=9, as_released=True)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    again, _ = fresh.architecture_gradient(batch(7), batch(8))
    assert all(torch.equal(one, other) for one, other in zip(again, expected, strict=True))
    live, _ = search(seed=3, steps=3).architecture_gradient(batch(7), batch(8))
    assert not torch.equal(live[0], expected[0])


def test_as_released_the_second_order_is_multiplied_by_epsilon() -> None:
    method = search(as_released=True, unrolled=True)
    assert isinstance(method.architecture_gradient, SlippedUnrolled)
    difference, step = torch.tensor(3.0), torch.tensor(0.5)
    assert method.architecture_gradient.quotient(difference, step) == 3 / 2 * 0.5
    assert search(unrolled=True).architecture_gradient.quotient(difference, step) == 3 / (2 * 0.5)
