"""Architectures drawn at a size: the size met, every draw sound, and the units that stay drawn fairly."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import torch

from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, get_space
from methods.spaces.base import SizeMatch
from methods.spaces.cell.sized import CANDIDATES, EDGES, FILTERS, Scale, architecture_without, removal_order

SETTINGS = NetworkSettings(in_channels=1)
SCALE = {"channels": 4, "cells": 3}
SPACE = get_space("dense_cell")


def draw(
    seed: int, on: str = "params", value: float = 14_000, masked: int = 300, tolerance: float = 0.01
) -> Architecture:
    generator = torch.Generator().manual_seed(seed)
    return SPACE.sample_at_size(generator, SizeMatch(on, value, tolerance, masked, SCALE), 10, SETTINGS, 8)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("on", "value"), [("params", 9_000), ("params", 14_000), ("macs", 150_000), ("macs", 300_000)])
def test_every_draw_is_of_the_size_and_builds_and_counts(on: str, value: float) -> None:
    digests = set()
    for seed in range(4):
        found = draw(seed, on, value)
        SPACE.validate(found)
        network = SPACE.build(found, 10, SETTINGS)
        counted = {"params": count_params(network), "macs": count_macs(network, (1, 8, 8))}
        assert 0.99 * value <= counted[on] <= value
        sizes = found.provenance["sizes"]
        assert (sizes["params"], sizes["macs"]) == (counted["params"], counted["macs"])
        parameters = dict(network.named_parameters())
        assert all(parameters[name].shape == mask.shape for name, mask in found.masks.items())
        assert sum(int((~mask).sum()) for mask in found.masks.values()) == 300
        assert sizes["params_nonzero"] == counted["params"] - 300
        network.train()(torch.randn(2, 1, 8, 8)).sum().backward()
        digests.add(found.digest)
    assert len(digests) == 4


def test_the_same_seed_draws_the_same() -> None:
    assert draw(3) == draw(3)


def test_all_states_of_a_cell_have_one_width_between_half_and_the_whole() -> None:
    seen = Counter(draw(seed).widths.get("cells.0.s0", 4) for seed in range(12))
    assert set(seen) == {2, 4}
    for seed in range(6):
        widths = draw(seed).widths
        for cell, initial in ((0, 4), (1, 8)):
            own = {widths.get(f"cells.{cell}.s{state}", initial) for state in range(6)}
            assert len(own) == 1
            assert initial / 2 <= own.pop() <= initial
        assert not any(name.startswith("cells.2.") for name in widths), "the last cell feeds the classifier"


def test_removal_makes_nothing_larger_and_leaves_each_node_an_operation() -> None:
    """What the bisection rests on: the sizes of all prefixes of an order, one by one."""
    scale = Scale(4, 3)
    order = removal_order(torch.Generator().manual_seed(5), scale)
    assert len(order) == len(set(order)) == 3 * (len(EDGES) * len(CANDIDATES) - 4) + 1 + 2
    sizes = []
    for number in range(0, len(order) + 1, 9):
        found = architecture_without("dense_cell", scale, order[:number])
        SPACE.validate(found)
        sizes.append(SPACE.counts(found, 10, SETTINGS, 8).params)
    assert all(a >= b for a, b in pairwise(sizes))
    smallest = architecture_without("dense_cell", scale, order)
    assert [len(cell["edges"]) for cell in smallest.genotype["cells"]] == [4, 4, 4]


def test_orders_are_uniform() -> None:
    """Chi-square over which operation is the first of all to go, and over how many filter steps come before it."""
    scale, draws = Scale(4, 3), 700
    steps, firsts = Counter[int](), Counter[int]()
    for seed in range(draws):
        order = removal_order(torch.Generator().manual_seed(seed), scale)
        place = next(index for index, unit in enumerate(order) if unit[1] != FILTERS)
        steps[place] += 1
        firsts[order[place][2]] += 1
    assert set(steps) == {0, 1, 2, 3}
    assert sum((steps[n] - draws / 4) ** 2 / (draws / 4) for n in range(4)) < 16.3  # 3 degrees of freedom, p = .001
    assert sum((firsts[n] - draws / 7) ** 2 / (draws / 7) for n in range(7)) < 22.5  # 6 degrees of freedom


def test_the_operations_that_stay_are_of_all_kinds() -> None:
    """No kind is preferred. The units at the end that have to fit are few beside the 80 that stay here."""
    kept = Counter[str]()
    for seed in range(40):
        found = draw(seed, tolerance=0.05)
        kept.update(edge[0] for cell in found.genotype["cells"] for edge in cell["edges"])
    mean = sum(kept.values()) / 7
    assert set(kept) == set(CANDIDATES)
    assert all(0.85 < number / mean < 1.15 for number in kept.values())


def test_masks_are_spread_over_all_convolutions() -> None:
    found = draw(1, masked=3_000)
    removed = sum(int((~mask).sum()) for mask in found.masks.values())
    assert removed == 3_000
    shares = [float((~mask).float().mean()) for mask in found.masks.values() if mask.numel() > 150]
    overall = removed / sum(mask.numel() for mask in found.masks.values())
    assert max(abs(share - overall) for share in shares) < 0.2


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ArchitectureError, match="have from"):
        draw(0, value=10_000_000)
    with pytest.raises(ArchitectureError, match="have from"):
        draw(0, value=100)
    with pytest.raises(ArchitectureError, match="weights are to be masked"):
        draw(0, masked=1_000_000)
    with pytest.raises(ArchitectureError, match="larger tolerance"):
        draw(0, value=14_000.5, tolerance=1e-9)
